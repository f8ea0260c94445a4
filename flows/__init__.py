"""In which order, as Prefect flows: prepare, train, explain, publish, reproduce, and their deployments.
No arithmetic and no paths, and nothing of the command line but in the room `cli`."""

from flows import foreseen  # noqa: F401  wherever a flow runs, its foreseen errors are logged as one sentence
