"""The pipeline of rooms: paper, plan, numerics, runtime, store, data, training, evaluation, visualization, publication.
A file imports only from rooms named before its own; Prefect and the command line are in `flows`."""
