"""Prefect flows: prepare, train, explain, publish, reproduce, their parameters and their deployments.
No arithmetic and no paths in the store; the command line is in `flows.cli`."""

from flows import foreseen  # noqa: F401  wherever a flow runs, its foreseen errors are logged as one sentence
