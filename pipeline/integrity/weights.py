"""Faults of a run's weights, and what a store says of weights that were left behind on purpose."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.integrity.fault import GONE, TRAIN_AGAIN, Fault
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Result
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import RunFolder

MEANS = "no picture can be drawn of the run, and its number cannot be proved again"


def weights_faults(
    store: Store, this: Experiment, result: Result, sizes: Mapping[str, int], whole: bool, again: dict[str, Any]
) -> Iterator[Fault]:
    """Of the weights that a result names; `again` is what offers the run for training."""
    run = RunFolder(this.id)
    path = run.weights_of(result)
    address, size = store.url_of(path), sizes.get(path.removeprefix(f"{run.top}/"))
    if result.digests.model and size is None and not were_left_behind(run, result, sizes):
        yield Fault(address, GONE, MEANS, TRAIN_AGAIN, **again)
    elif result.digests.model and size is not None and (why := _wrong(store, path, size, result, whole)):
        yield Fault(address, why, MEANS, TRAIN_AGAIN, **again)
    if whole and "model.float16.safetensors" in sizes and (why := _rounded_wrong(store, this, result)):
        fix = "it is removed: where the weights are kept, `infra/evidence.py` rounds them again"
        yield Fault(store.url_of(run.halved), why, MEANS, fix, aside=(run.halved,))


def were_left_behind(run: RunFolder, result: Result, sizes: Mapping[str, int]) -> bool:
    """Whether the store says that it does not keep the weights, or keeps them rounded.

    Results of earlier code do not say where their weights lay: they count as left behind while nothing in the store
    needs them, neither a proof nor a picture.
    """
    if "model.float16.safetensors" in sizes or "not-kept.json" in sizes:
        return True
    needed = "evaluation.json" in sizes or any(name.startswith("figures/") for name in sizes)
    return not result.weights and not needed


def _wrong(store: Store, path: str, size: int, result: Result, whole: bool) -> str:
    if result.weights_bytes and size != result.weights_bytes:
        return f"it has {size} bytes, and the result says {result.weights_bytes}"
    return "its SHA-256 is not the one in the result" if whole and _sha256(store, path) != result.digests.model else ""


def _sha256(store: Store, path: str) -> str:
    return sha256(store.find(path) or b"")


def _rounded_wrong(store: Store, this: Experiment, result: Result) -> str:
    from pipeline.evaluation.verify import rounded_from  # torch
    from pipeline.numerics.model import build
    from pipeline.training.checkpoint import load_weights

    data = store.find(RunFolder(this.id).halved) or b""
    if rounded_from(data) != result.digests.model:
        return "it was not rounded from the weights that the result names, or is damaged"
    try:
        load_weights(data, build(this.network))
    except ValueError as error:
        return str(error)
    return ""
