"""What has been done already, read from the store alone: the questions that save a second call its imports."""

from pipeline.runs.store import RunFolder, Store


def proof_of(result: dict) -> dict:
    """What an evaluation of a run's stored weights has confirmed."""
    return {"digests": result["digests"], "wrong": result["wrong"], "seen": result["seen"]}


def is_verified(store: Store, run: RunFolder) -> bool:
    """Whether these very weights were evaluated again and made the errors that the run reported."""
    return store.find_json(run.evaluation) == proof_of(store.read_json(run.result))
