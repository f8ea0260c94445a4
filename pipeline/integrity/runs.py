"""Faults of a run: its experiment, result, evaluation, history, provenance, weights and checkpoints."""

from collections.abc import Iterator, Mapping

from pipeline.integrity.fault import GONE, TRAIN_AGAIN, Fault, reason
from pipeline.integrity.weights import weights_faults
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import AttemptEnd, CheckpointNote, Heartbeat, LeaseRecord, Provenance
from pipeline.records.record import SEAL, DamagedRecord, Record
from pipeline.records.result import Evaluation, Result, Retry
from pipeline.store.objects import Store, sha256, to_json
from pipeline.store.paths import RunFolder

NO_NUMBER = "the run has no number in tables and pages"
SIDE = ((".beat.json", Heartbeat), (".end.json", AttemptEnd), (".json", LeaseRecord))


def run_faults(store: Store, this: Experiment, sizes: Mapping[str, int], whole: bool) -> Iterator[Fault]:
    """Of one run, whose objects have these `sizes`; unless `whole`, lengths stand for the digests of what is large."""
    run = RunFolder(this.id)
    if "experiment.json" in sizes and store.find(run.experiment) != to_json(this.plain()):
        yield Fault(store.url_of(run.experiment), "it does not describe the run whose id it lies under",
                    "the weights cannot be read as a network", "it is written again, for it follows from the plan",
                    write={run.experiment: to_json(this.plain())})  # fmt: skip
    yield from _result_faults(store, this, run, sizes, whole)
    yield from _provenance_faults(store, this, run, sizes)
    if whole:
        yield from _checkpoint_faults(store, run, sizes)
        yield from _lease_faults(store, run, sizes)


def retrained(run: RunFolder, *damaged: str) -> dict:
    """What sets these paths, the result and its proof aside, and offers the run for training again."""
    return {"aside": (*damaged, run.result), "remove": (run.evaluation,), "again": run.id}


def _result_faults(
    store: Store, this: Experiment, run: RunFolder, sizes: Mapping[str, int], whole: bool
) -> Iterator[Fault]:
    address, data = store.url_of(run.result), store.find(run.result)
    if data is None:
        return
    try:
        result = Result.from_json(data, address)
        why = f"it is the result of {result.experiment_id}" if result.experiment_id not in ("", run.id) else ""
    except DamagedRecord as error:
        result, why = None, reason(error, address)
    if why or result is None:
        yield Fault(address, why, NO_NUMBER, TRAIN_AGAIN, **retrained(run))
        return
    if "evaluation.json" in sizes and (fault := _evaluation_fault(store, run, result, SEAL.encode() in data)):
        yield fault
    if not result.is_measured:
        return
    path = run.history(result.attempt)
    curve = store.find(path) if result.digests.history else None
    if result.digests.history and (curve is None or sha256(curve) != result.digests.history):
        why = GONE if curve is None else "its SHA-256 is not the one in the result"
        more = retrained(run) if curve is None else retrained(run, path)
        yield Fault(store.url_of(path), why, NO_NUMBER if curve else "the run has no curve", TRAIN_AGAIN, **more)
    yield from weights_faults(store, this, result, sizes, whole, retrained(run, run.weights_of(result)))


def _evaluation_fault(store: Store, run: RunFolder, result: Result, sealed: bool) -> Fault | None:
    address = store.url_of(run.evaluation)
    try:
        proof = store.find_record(Evaluation, run.evaluation)
    except DamagedRecord as error:
        return Fault(address, reason(error, address), NO_NUMBER, "the weights are evaluated again",
                     remove=(run.evaluation,))  # fmt: skip
    if proof is None or proof.confirms(result):
        return None
    if proof.digests == result.digests and not sealed:  # a result of earlier code: which of them is true?
        why = f"it says {proof.wrong} wrong of {proof.seen}, and the result {result.wrong} of {result.seen}"
        return Fault(address, why, NO_NUMBER, TRAIN_AGAIN, **retrained(run, run.evaluation))
    return Fault(address, "it is not about the result beside it", "the run counts as not evaluated again",
                 "the weights are evaluated again", remove=(run.evaluation,))  # fmt: skip


def _provenance_faults(store: Store, this: Experiment, run: RunFolder, sizes: Mapping[str, int]) -> Iterator[Fault]:
    for name in (name for name in sizes if name.startswith("attempts/") and name.endswith("/provenance.json")):
        path = f"{run.top}/{name}"
        why = _unreadable(store, Provenance, path)
        origin = None if why else store.find_record(Provenance, path)
        if origin and origin.experiment_id not in ("", this.id):
            why = f"it is the provenance of {origin.experiment_id}"
        if why:
            means = "where and by which code the attempt ran is known from the result's summary alone"
            yield Fault(store.url_of(path), why, means, "it is set aside", aside=(path,))


def _checkpoint_faults(store: Store, run: RunFolder, sizes: Mapping[str, int]) -> Iterator[Fault]:
    for name in (name for name in sizes if "/checkpoint/" in name and name.endswith(".json")):
        note, tensors = f"{run.top}/{name}", f"{run.top}/{name.removesuffix('.json')}.safetensors"
        means, fix = "the run goes on from an older one, if it must", "it is removed"
        at, why = note, _unreadable(store, CheckpointNote, note)
        if not why and (found := store.find_record(CheckpointNote, note)):
            data = store.find(tensors)
            if data is None or sha256(data) != found.sha256:
                at, why = tensors, f"it is not what {store.url_of(note)} names"
                why = GONE if data is None else why
        if why and store.exists(note):  # of an attempt at work, it may just have been replaced
            yield Fault(store.url_of(at), why, means, fix, remove=(note, tensors))


def _lease_faults(store: Store, run: RunFolder, sizes: Mapping[str, int]) -> Iterator[Fault]:
    for name in (name for name in sizes if name.startswith("claims/") or name == "retry.json"):
        kind = Retry if name == "retry.json" else next((kind for end, kind in SIDE if name.endswith(end)), None)
        if kind and (why := _unreadable(store, kind, f"{run.top}/{name}")):  # others put objects there, too
            means, fix = "how often the run was tried is not known", "it is set aside"
            yield Fault(store.url_of(f"{run.top}/{name}"), why, means, fix, aside=(f"{run.top}/{name}",))


def _unreadable(store: Store, kind: type[Record], path: str) -> str:
    """Why a record cannot be trusted; empty where it can."""
    try:
        store.find_record(kind, path)
        return ""
    except DamagedRecord as error:
        return reason(error, store.url_of(path))
