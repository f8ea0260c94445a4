"""In which order, as Prefect flows: prepare, train, publish, explain, report, reproduce, and their deployments.
No arithmetic and no paths, and nothing of the command line but in the room `cli`."""
