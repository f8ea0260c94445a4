"""Results as the store holds them, each held against what it rests on: all that read one read it here.

A result that is damaged, or is not what its evaluation, its history and its provenance say, is no number: it comes
with the outcome `damaged`, and with the address of the file in its reason.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pipeline.records.attempt import Provenance
from pipeline.records.record import DamagedRecord
from pipeline.records.result import Evaluation, Result
from pipeline.store.objects import AT_ONCE, Store, sha256
from pipeline.store.paths import RunFolder

FIX = "`strive check STUDY --repair` says what can be done."


def find_result(store: Store, id: str) -> Result | None:
    """The result of a run, or None where it has none yet."""
    try:
        result = store.find_record(Result, RunFolder(id).result)
        if result is not None:
            check_result(store, id, result)
        return result
    except DamagedRecord as error:
        return Result(outcome="damaged", attempt=0, experiment_id=id, why=(str(error),))


def read_results(store: Store, ids: Iterable[str]) -> dict[str, Result]:
    """The results there are, by run id, read in parallel."""
    listed = list(ids)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda id: find_result(store, id), listed)
        return {id: result for id, result in zip(listed, found, strict=True) if result is not None}


def check_result(store: Store, id: str, result: Result) -> None:
    """DamagedRecord unless the result is this run's, and agrees with evaluation, history and provenance as far as they
    are there."""
    run = RunFolder(id)
    mine = store.url_of(run.result)
    if result.experiment_id not in ("", id):
        raise DamagedRecord(f"{mine} is damaged: it is the result of {result.experiment_id}. {FIX}")
    if not result.is_measured:
        return
    proof = store.find_record(Evaluation, run.evaluation) if result.outcome == "done" else None
    if proof and proof.digests == result.digests and (proof.wrong, proof.seen) != (result.wrong, result.seen):
        raise DamagedRecord(
            f"{mine} is damaged: it says {result.wrong} wrong of {result.seen}, and {store.url_of(run.evaluation)}, of "
            f"the same weights, {proof.wrong} of {proof.seen}. {FIX}"
        )
    curve = store.find(run.history(result.attempt)) if result.digests.history else None
    if curve is not None and sha256(curve) != result.digests.history:
        path = store.url_of(run.history(result.attempt))
        raise DamagedRecord(f"{path} is damaged: its SHA-256 is not the one in {mine}. {FIX}")
    origin = store.find_record(Provenance, run.provenance(result.attempt)) if result.digests.dataset else None
    if origin and origin.dataset_manifest_sha256 not in ("", result.digests.dataset):
        raise DamagedRecord(
            f"{mine} is damaged: it names other data than {store.url_of(run.provenance(result.attempt))}. {FIX}"
        )
