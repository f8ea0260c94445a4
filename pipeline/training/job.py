"""The way of an experiment from its lease to its result, in one process; the same on a laptop and on a Ray worker.

    lease -> data -> model, checked -> newest checkpoint -> epochs, with checkpoints -> weights -> result.json

`train` is that way. `run` keeps the leases alive meanwhile, and packing.py decides which of them are trained together;
under_way.py goes on from checkpoints and writes them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch

from pipeline.data import prepare
from pipeline.numerics.fast import parity_check
from pipeline.numerics.fast.loop import Pause, chunks, epochs
from pipeline.numerics.fast.precision import set_backend_flags
from pipeline.numerics.fast.trainer import Trainer
from pipeline.numerics.initialization import SAMPLE, initialize
from pipeline.numerics.model import build, count_parameters
from pipeline.numerics.model_check import check_model
from pipeline.numerics.process_group import ALONE, ProcessGroup
from pipeline.numerics.reference_loop import DEAD_EPOCHS
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Digests, Outcome, Result
from pipeline.runtime.allocator import keep_freed
from pipeline.runtime.provenance import provenance
from pipeline.store.objects import Store, sha256
from pipeline.training import checkpoint, history, packing
from pipeline.training.device import device, mode_of
from pipeline.training.leases import Lease, LeaseLost
from pipeline.training.summary import summary
from pipeline.training.under_way import Training, is_due, leave, resume, save_or_go_on

CHECKPOINT_SECONDS = 10.0  # an epoch that ends this long after the last checkpoint writes one
PART_SECONDS = 45.0  # inside an epoch; saving and a slow step included, a minute of work is lost at most


@dataclass(frozen=True)
class Intervals:
    """Seconds after the last checkpoint from which on the next is written."""

    epoch: float = CHECKPOINT_SECONDS  # at the end of an epoch
    part: float = PART_SECONDS  # inside one


def run(
    leases: Sequence[Lease],
    store: Store,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    workers: ProcessGroup = ALONE,
    part_seconds: float = PART_SECONDS,
    released: Callable[[], bool] = lambda: False,
) -> list[Result]:
    """Train the experiment of every lease to its outcome and record it; the results, in the order of the leases.

    All leases are kept alive meanwhile. Of several workers this is the first; the others `join` each experiment.
    Raises LeaseLost when another process has taken a run over, Released once `released` says so and all are saved, and
    what made a run fail.
    """
    _prepare_process()
    intervals = Intervals(checkpoint_seconds, part_seconds)
    with ExitStack() as alive:
        for lease in leases:
            alive.enter_context(lease)
        results = packing.train_all(
            leases, lambda group: train(group, store, intervals, workers, released), side_by_side=workers.count == 1
        )
        by_id = {result.experiment_id: result for result in results}
    return [by_id[lease.experiment.id] for lease in leases]


def join(this: Experiment, store: Store, workers: ProcessGroup) -> None:
    """Compute this worker's share of every step of an experiment that the first worker `run`s. Writes nothing."""
    _prepare_process()
    trainer = _trainer(this, prepare.load(store, this.dataset, this.recipe.preprocess), workers)
    trainer.broadcast_state()
    for _ in epochs([trainer]):
        pass


def train(
    leases: Sequence[Lease],
    store: Store,
    intervals: Intervals,
    workers: ProcessGroup,
    released: Callable[[], bool] = lambda: False,
) -> Iterator[Result]:
    """From lease to result; several leases are on experiments that make the same steps."""
    begun = [begin(lease, store, workers, len(leases)) for lease in leases]
    trainings = {training.trainer: training for training in begun}
    for trainer, event in chunks([*trainings]):
        training = trainings[trainer]
        if isinstance(event, Pause):
            training.lease.within_epoch(len(training.rows), event.seen, event.seconds)
            if released():
                leave(training, event.part(), trainings)
            elif is_due(training, intervals.part):
                save_or_go_on(training, event.part())
            continue
        training.rows.append(event)
        training.lease.progress(len(training.rows), event.seconds)
        ended_early = trainer.diverged or trainer.dead
        if not ended_early and (trainer.finished or is_due(training, intervals.epoch)):
            save_or_go_on(training)
        if trainer.finished:
            yield finish(trainings.pop(trainer))
    for training in trainings.values():  # an earlier attempt stopped between its last checkpoint and its result
        yield finish(training)


def begin(lease: Lease, store: Store, workers: ProcessGroup, together: int) -> Training:
    """Load the data, note what the attempt runs on, build and check the model, and go on from the newest checkpoint.

    `together` runs are trained side by side, this one included.

    Raises UserError where the data are not prepared or damaged.
    """
    this = lease.experiment
    data = prepare.load(store, this.dataset, this.recipe.preprocess)
    store.create_json(lease.run.experiment, this.plain())
    origin = provenance(device(), data.manifest_sha256, data.whitening_sha256, str(mode_of(this)), workers.count)
    origin = replace(origin, experiment_id=this.id, together=together, continues=lease.continues)
    store.write_record(lease.run.provenance(lease.attempt), origin)
    training = Training(lease, store, _trainer(this, data, workers), data.manifest_sha256, [])
    resume(training)
    training.trainer.broadcast_state()
    return training


def finish(training: Training) -> Result:
    """Write history, weights and, last and once, the result: all that it names is there when it can be read.

    A store that is away is waited for. Raises LeaseLost when another process has taken the run over or has written a
    result.
    """
    lease, store, rows, model = training.lease, training.store, training.rows, training.trainer.model
    last = rows[-1]
    assert last.test_wrong is not None, "the last epoch of a run is evaluated"
    assert last.test_seen is not None
    curve = history.write(store, lease.run, lease.attempt, rows)
    weights = checkpoint.weights(model)
    lease.check()
    path = lease.run.weights(lease.attempt)  # no other attempt's: one that comes late harms none that has finished
    store.write(path, weights)
    outcome, why = _outcome(training.trainer, last.epoch)
    result = Result(
        experiment_id=lease.experiment.id,
        outcome=outcome,
        why=(why,) if why else (),
        attempt=lease.attempt,
        epochs=len(rows),
        wrong=last.test_wrong,
        seen=last.test_seen,
        train_loss=last.train_loss if math.isfinite(last.train_loss) else None,
        parameters=count_parameters(model),
        seconds=round(sum(row.seconds for row in rows), 3),
        digests=Digests(model=sha256(weights), history=sha256(curve), dataset=training.dataset_sha256),
        weights=path.removeprefix(f"{lease.run.top}/"),
        weights_bytes=len(weights),
        summary=summary(store, lease.experiment, lease.attempt, rows),
    )
    if not store.create_record(lease.run.result, result):
        store.delete(path)
        raise LeaseLost(f"{lease.run.id} has a result of another attempt than {lease.attempt}")
    lease.finish(result)
    return result


def _trainer(this: Experiment, data: prepare.Prepared, workers: ProcessGroup) -> Trainer:
    """The experiment on this process's device before its first epoch, checked against the plan and the plain loop."""
    where, mode = device(), mode_of(this)
    train_feed, test_feed = data.feeds(this.recipe, where)
    model = build(this.network)
    check_model(model, this.network)
    if workers.rank == 0:  # whose weights all begin with
        by_data = this.recipe.initialization == "data-dependent"
        sample = train_feed.eval_batch(torch.arange(min(SAMPLE, len(train_feed))))[0].cpu() if by_data else None
        initialize(model, this.recipe.initialization, this.seed, sample, this.recipe.score_bias)
    set_backend_flags(mode)
    trainer = Trainer(model.to(where), this.network, this.recipe, train_feed, test_feed, this.seed, mode, workers)
    parity_check.check_parity(trainer)
    return trainer


def _outcome(trainer: Trainer, epoch: int) -> tuple[Outcome, str]:
    """The outcome of a run whose last epoch was `epoch`, and why it ended early, if it did."""
    if trainer.diverged:
        return "diverged", f"diverged at epoch {epoch}"
    if trainer.dead:
        return "dead", f"no gradient, and equal scores for every class, in {DEAD_EPOCHS} epochs up to {epoch}"
    return "done", ""


def _prepare_process() -> None:
    torch.set_num_threads(1)  # one process per core; more threads beside a busy core cost time
    keep_freed()
