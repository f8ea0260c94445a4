"""Which runs were verified already, read from the store alone: torch, slow to import, is needed only for the others."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from pipeline.records.result import Evaluation, Result
from pipeline.store.objects import AT_ONCE, Store
from pipeline.store.paths import RunFolder


def proof_of(result: Result) -> Evaluation:
    """The record of an evaluation that confirms this result."""
    return Evaluation(result.digests, result.wrong, result.seen)


def is_verified(store: Store, run: RunFolder) -> bool:
    """Whether the stored weights were evaluated again and made the errors that the run reported."""
    return store.find_record(Evaluation, run.evaluation) == proof_of(store.read_record(Result, run.result))


def unverified(store: Store, results: Mapping[str, Result]) -> list[str]:
    """The ids of runs that are done and whose weights were not evaluated again."""
    done = [id for id, result in results.items() if result.outcome == "done"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        proofs = pool.map(lambda id: store.find_record(Evaluation, RunFolder(id).evaluation), done)
        return [id for id, proof in zip(done, proofs, strict=True) if proof != proof_of(results[id])]
