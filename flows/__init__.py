"""Prefect flows: prepare, train, publish, explain, report, reproduce, their parameters and their deployments.
No arithmetic and no paths in the store; the command line is in `flows.cli`."""
