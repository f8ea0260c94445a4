"""Runs, start to finish, in one process: the same call on a laptop and on a Ray worker."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.data import prepare
from pipeline.numerics import reference_loop
from pipeline.numerics.fast import parity_check
from pipeline.numerics.fast.flat_parameters import FlatParameters
from pipeline.numerics.fast.loop import Pause, chunks, epochs
from pipeline.numerics.fast.precision import Mode, choose_mode, set_backend_flags
from pipeline.numerics.fast.trainer import Trainer
from pipeline.numerics.initialization import SAMPLE, initialize
from pipeline.numerics.model import build, count_parameters
from pipeline.numerics.model_check import check_model
from pipeline.numerics.process_group import ALONE, ProcessGroup
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Digests, Outcome, Result
from pipeline.runtime.allocator import keep_freed
from pipeline.runtime.provenance import provenance
from pipeline.runtime.settings import settings
from pipeline.store.objects import RunFolder, Store, sha256
from pipeline.training import checkpoint, history
from pipeline.training.leases import Lease, LeaseLost
from pipeline.training.summary import summary

log = logging.getLogger(__name__)
CHECKPOINT_SECONDS = 10.0  # an epoch that ends this long after the last checkpoint writes one
PART_SECONDS = 45.0  # inside an epoch; saving and a slow step included, a minute of work is lost at most


@dataclass(frozen=True)
class _Begun:
    """A claimed run, ready to go on."""

    claim: Lease
    lane: Trainer
    rows: list[reference_loop.Epoch]
    dataset: str  # digest of its manifest


def run(
    held: list[Lease],
    store: Store,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    workers: ProcessGroup = ALONE,
    part_seconds: float = PART_SECONDS,
) -> list[Result]:
    """Train every claimed experiment to its outcome and record it; all claims are alive meanwhile.

    Those that make the same steps are trained side by side, the others one after the other. Of several workers this
    is the first, and the others `follow` each experiment.
    """
    torch.set_num_threads(1)  # one process per core; more threads beside a busy core cost time
    keep_freed()
    with ExitStack() as alive:
        for claim in held:
            alive.enter_context(claim)
        groups = _groups(held) if workers.count == 1 else [[claim] for claim in held]
        results = [
            result for group in groups for result in _trained(group, store, (checkpoint_seconds, part_seconds), workers)
        ]
    of = {result.experiment_id: result for result in results}
    return [of[claim.experiment.id] for claim in held]


def join(this: Experiment, store: Store, workers: ProcessGroup) -> None:
    """Take a share of every step of an experiment that the first worker `run`s."""
    torch.set_num_threads(1)
    keep_freed()
    data = prepare.load(store, this.dataset, this.recipe.preprocess)
    lane = _lane(this, data, workers)
    lane.broadcast_state()
    for _ in epochs([lane]):
        pass


def _groups(held: list[Lease]) -> list[list[Lease]]:
    """Claims on the same data with the same batch, images an epoch and mode."""
    groups: dict[tuple, list[Lease]] = {}
    for claim in held:
        this = claim.experiment
        images = this.recipe.images_an_epoch(this.dataset.train)
        kind = (this.dataset, this.recipe.preprocess, this.recipe.batch, images, _mode(this))
        groups.setdefault(kind, []).append(claim)
    return list(groups.values())


def _trained(group: list[Lease], store: Store, every: tuple[float, float], workers: ProcessGroup) -> Iterator[Result]:
    """Side by side; where that fails, one after the other, so that each answers for itself alone."""
    try:
        return (yield from _train(group, store, every, workers))
    except RuntimeError as error:  # out of memory, for one
        if isinstance(error, LeaseLost) or len(group) == 1:
            raise
        log.warning("training %s experiments side by side failed, now one by one: %s", len(group), error)
    left = [claim for claim in group if not claim.finished]  # out here the error no longer keeps what filled the memory
    for claim in left:
        claim.running = False
    for claim in left:
        yield from _train([claim], store, every, workers)


def _train(group: list[Lease], store: Store, every: tuple[float, float], workers: ProcessGroup) -> Iterator[Result]:
    checkpoint_seconds, part_seconds = every
    begun = {}
    for claim in group:
        one = _begin(claim, store, workers)
        begun[one.lane] = one
    for claim in group:
        claim.running = True
    saved_at = dict.fromkeys(begun, time.monotonic())
    for lane, row in chunks([*begun]):
        one = begun[lane]
        if isinstance(row, Pause):
            if time.monotonic() - saved_at[lane] >= part_seconds:
                _save(one, store, row.part())
                saved_at[lane] = time.monotonic()
            continue
        one.rows.append(row)
        one.claim.progress(len(one.rows), row.seconds)
        if not (lane.diverged or lane.dead) and (
            lane.finished or time.monotonic() - saved_at[lane] >= checkpoint_seconds
        ):
            _save(one, store)
            saved_at[lane] = time.monotonic()
        if lane.finished:
            yield _finish(begun.pop(lane), store)
    for one in begun.values():  # was stopped between its last checkpoint and its result
        yield _finish(one, store)


def _begin(claim: Lease, store: Store, workers: ProcessGroup) -> _Begun:
    """Data, model and the newest checkpoint; what fails here is this claim's fault and no other's."""
    claim.running = True
    this, folder = claim.experiment, claim.run
    data = prepare.load(store, this.dataset, this.recipe.preprocess)
    store.create_json(folder.experiment, this.plain())
    origin = provenance(device(), data.manifest_sha256, data.whitening_sha256, str(_mode(this)), workers.count)
    store.write_json(folder.provenance(claim.attempt), origin.plain())
    lane = _lane(this, data, workers)
    rows, lane.part = _resume(store, folder, lane.model, lane.weights)
    lane.epoch, lane.flat = (
        len(rows),
        reference_loop.flat_epochs([row.train_loss for row in rows], this.network.classes),
    )
    lane.broadcast_state()
    claim.running = False
    return _Begun(claim, lane, rows, data.manifest_sha256)


def _lane(this: Experiment, data: prepare.Prepared, workers: ProcessGroup) -> Trainer:
    """The experiment on this process's device, as it begins."""
    where, mode = device(), _mode(this)
    train_feed, test_feed = data.feeds(this.recipe, where)
    model = build(this.network)
    check_model(model, this.network)
    sample, _ = train_feed.eval_batch(torch.arange(min(SAMPLE, len(train_feed))))
    initialize(model, this.recipe.initialization, this.seed, sample.cpu(), this.recipe.score_bias)
    set_backend_flags(mode)
    lane = Trainer(model.to(where), this.network, this.recipe, train_feed, test_feed, this.seed, mode, workers)
    parity_check.check_parity(lane)
    return lane


def _resume(
    store: Store, folder: RunFolder, model: nn.Module, weights: FlatParameters
) -> tuple[list[reference_loop.Epoch], reference_loop.PartialEpoch | None]:
    """Go back to the newest whole checkpoint; returns the epochs that lie behind it, and the part of the next one."""
    found = checkpoint.newest(store, folder)
    if found is None:
        return [], None
    rows = history.find(store, folder, found.attempt)[: found.epochs_done]
    if len(rows) < found.epochs_done:
        log.warning("the history of attempt %s on %s is not whole; the run starts anew", found.attempt, folder.id)
        return [], None
    checkpoint.restore(found, model, weights)
    return rows, found.part


def _save(one: _Begun, store: Store, part: reference_loop.PartialEpoch | None = None) -> None:
    one.claim.check()
    history.write(store, one.claim.run, one.claim.attempt, one.rows)
    checkpoint.save(store, one.claim.run, one.claim.attempt, len(one.rows), one.lane.model, one.lane.weights, part)


def _finish(one: _Begun, store: Store) -> Result:
    """Weights, then the result, last and once: whoever reads it finds everything it names."""
    claim, rows, model = one.claim, one.rows, one.lane.model
    last = rows[-1]
    assert last.test_wrong is not None, "the last epoch of a run is evaluated"
    assert last.test_seen is not None
    curve = history.write(store, claim.run, claim.attempt, rows)
    weights = checkpoint.weights(model)
    claim.check()
    store.write(claim.run.model, weights)
    outcome, why = _outcome(one.lane, last.epoch)
    result = Result(
        experiment_id=claim.experiment.id,
        outcome=outcome,
        why=(why,) if why else (),
        attempt=claim.attempt,
        epochs=len(rows),
        wrong=last.test_wrong,
        seen=last.test_seen,
        train_loss=last.train_loss if math.isfinite(last.train_loss) else None,
        parameters=count_parameters(model),
        seconds=round(sum(row.seconds for row in rows), 3),
        digests=Digests(model=sha256(weights), history=sha256(curve), dataset=one.dataset),
        summary=summary(store, claim.experiment, claim.attempt, rows),
    )
    if not store.create_json(claim.run.result, result.plain()):
        raise LeaseLost(f"{claim.run.id} has a result of another attempt than {claim.attempt}")
    claim.finished = True
    return result


def _outcome(lane: Trainer, epoch: int) -> tuple[Outcome, str]:
    """The outcome of a run whose last epoch was `epoch`, and why it ended early, if it did."""
    if lane.diverged:
        return "diverged", f"diverged at epoch {epoch}"
    if lane.dead:
        return (
            "dead",
            f"no gradient, and equal scores for every class, in {reference_loop.DEAD_EPOCHS} epochs up to {epoch}",
        )
    return "done", ""


def _mode(this: Experiment) -> Mode:
    configured = settings()
    return choose_mode(this.network, device(), configured.precision, configured.deterministic, configured.graph)


def device() -> str:
    """Where this process computes."""
    return "cuda" if torch.cuda.is_available() else "cpu"
