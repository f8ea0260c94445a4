"""The pipeline, in rooms: records, paper, plan, numerics, runtime, store, data, training, evaluation, visualization,
publication, bench, integrity. A file imports only from rooms named before its own; Prefect and the command line are in
`flows`."""
