"""A run under way: it goes on from its newest checkpoint, is saved as it goes, and left for another process to finish.

Each step is called by job.py.
"""

import logging
import time
from dataclasses import dataclass, field, replace

from pipeline.errors import StoreAway
from pipeline.numerics.fast.trainer import Trainer
from pipeline.numerics.reference_loop import Epoch, PartialEpoch, flat_epochs
from pipeline.records.attempt import Continued, Provenance
from pipeline.store.objects import BRIEF_SECONDS, Store
from pipeline.training import checkpoint, history
from pipeline.training.leases import Lease, Released

log = logging.getLogger(__name__)


@dataclass
class Training:
    """A run that has begun."""

    lease: Lease
    store: Store
    trainer: Trainer
    dataset_sha256: str  # of the data set's manifest
    rows: list[Epoch]  # all epochs so far, those of earlier attempts included
    saved_at: float = field(default_factory=lambda: time.monotonic())
    left: bool = False  # saved for another process to go on


def resume(training: Training) -> None:
    """Go back to the newest whole checkpoint of any attempt; without one, or without its history, begin anew."""
    trainer, run = training.trainer, training.lease.run
    found = checkpoint.newest(training.store, run)
    if found is None:
        return
    rows = history.find(training.store, run, found.attempt)[: found.epochs_done]
    if len(rows) < found.epochs_done:
        log.warning("the history of attempt %s on %s is not whole; the run starts anew", found.attempt, run.id)
        return
    if not checkpoint.fits(found, trainer.model, trainer.weights):
        log.warning(
            "the checkpoint of attempt %s on %s is of another model; the run starts anew", found.attempt, run.id
        )
        return
    _record_source(training, found)
    checkpoint.restore(found, trainer.model, trainer.weights)
    training.rows, trainer.epoch, trainer.part = rows, len(rows), found.part
    trainer.flat = flat_epochs([row.train_loss for row in rows], trainer.network.classes)


def _record_source(training: Training, found: checkpoint.Checkpoint) -> None:
    """Write into the attempt's provenance what it continues; tell of a change of the number format."""
    store, run, lease = training.store, training.lease.run, training.lease
    own = store.find_record(Provenance, run.provenance(lease.attempt))
    if own is None or found.attempt >= lease.attempt:  # its own: a group failed, and its runs are trained one by one
        return
    lease.continues = Continued(found.attempt, found.epochs_done, found.part.seconds if found.part else 0.0)
    store.write_record(run.provenance(lease.attempt), replace(own, continues=lease.continues))
    theirs = store.find_record(Provenance, run.provenance(found.attempt))
    if theirs and own.mode.split()[0] != theirs.mode.split()[0]:  # another kind of processor, or a setting
        log.warning(
            "run %s was trained in %s by attempt %s and continues in %s; its page will name both",
            run.id, theirs.mode, found.attempt, own.mode,
        )  # fmt: skip


def is_due(training: Training, seconds: float) -> bool:
    """Whether the last checkpoint is this many seconds old."""
    return time.monotonic() - training.saved_at >= seconds


def save_or_go_on(training: Training, part: PartialEpoch | None = None) -> None:
    """`save`, unless the store is away: then training goes on, and the next checkpoint that is due is tried.

    While the heartbeats' thread finds no store, this one does not look for it: it would stand still meanwhile.
    """
    if training.store.outage.seconds():
        return
    try:
        save(training, part)
    except StoreAway as away:
        log.warning("no checkpoint of %s now, training goes on: %s", training.lease.run.id, away)


def save(training: Training, part: PartialEpoch | None = None) -> None:
    """Write history and checkpoint: after the epochs so far and, inside an epoch, `part` of the next.

    Raises LeaseLost, and writes nothing, when another process has taken the run over; StoreAway after a short wait.
    """
    lease, trainer, store = training.lease, training.trainer, training.store.within(BRIEF_SECONDS)
    lease.check(brief=True)
    history.write(store, lease.run, lease.attempt, training.rows)
    checkpoint.save(store, lease.run, lease.attempt, len(training.rows), trainer.model, trainer.weights, part)
    training.saved_at = time.monotonic()


def leave(training: Training, part: PartialEpoch, all_of_them: dict[Trainer, Training]) -> None:
    """Save a run of those that this process is to leave; raises Released when each has been saved."""
    if not training.left:
        save(training, part)
        training.left = True
    if all(other.left for other in all_of_them.values()):
        raise Released(f"saved after {len(training.rows)} epochs and {part.seen:,} images")
