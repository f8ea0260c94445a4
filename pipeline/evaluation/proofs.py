"""Which runs were verified already, read from the store alone: torch, slow to import, is needed only for the others."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version

from pipeline.plan.experiment import REVISION
from pipeline.records.result import Conditions, Evaluation, Result
from pipeline.runtime.processor import processor
from pipeline.store.objects import AT_ONCE, Store
from pipeline.store.paths import RunFolder


def conditions() -> Conditions:
    """Those of this process."""
    return Conditions(version("torch"), processor(), REVISION, datetime.now(UTC).isoformat(timespec="seconds"))


def proof_of(store: Store, result: Result, id: str) -> Evaluation:
    """The record of an evaluation in this process that confirms the result of run `id`; it keeps the conditions under
    which earlier ones did."""
    now, earlier = conditions(), store.find_record(Evaluation, RunFolder(id).evaluation)
    before = earlier.under if earlier and earlier.confirms(result) else ()
    under = (*(one for one in before if one != now), now)
    return Evaluation(result.digests, result.wrong, result.seen, under)


def is_verified(store: Store, run: RunFolder) -> bool:
    """Whether the stored weights were evaluated again under the conditions of this process and made the errors that
    the run reported."""
    proof, result = store.find_record(Evaluation, run.evaluation), store.read_record(Result, run.result)
    return proof is not None and proof.confirms(result) and conditions() in proof.under


def to_verify(store: Store, results: Mapping[str, Result]) -> list[str]:
    """The ids of runs that are done and whose weights were not yet evaluated again, or not under the conditions of this
    process: with this torch, on this kind of processor, by this revision of the numerics. Of the latter only those
    whose weights the store holds unrounded."""
    now = conditions()
    found = proofs(store, results)
    elsewhere = [id for id, proof in found.items() if proof and now not in proof.under]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        there = pool.map(lambda id: store.exists(RunFolder(id).weights_of(results[id])), elsewhere)
        again = {id for id, whole in zip(elsewhere, there, strict=True) if whole}
    return [id for id, proof in found.items() if proof is None or id in again]


def proofs(store: Store, results: Mapping[str, Result]) -> dict[str, Evaluation | None]:
    """Of every run that is done, the record that confirms its result, if there is one."""
    done = [id for id, result in results.items() if result.outcome == "done"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda id: store.find_record(Evaluation, RunFolder(id).evaluation), done)
        return {
            id: proof if proof and proof.confirms(results[id]) else None for id, proof in zip(done, found, strict=True)
        }
