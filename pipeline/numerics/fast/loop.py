"""Several experiments trained side by side in one process; for each the epochs of reference_loop.epochs."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.numerics.fast.divergence import DivergenceMonitor
from pipeline.numerics.fast.execution import STEPS, CapturedSteps, EagerSteps, Stepper
from pipeline.numerics.fast.trainer import CHANNELS, Trainer
from pipeline.numerics.reference_loop import Epoch, PartialEpoch

CHUNK_BYTES = 2**28  # of the images that one recording reads


@dataclass(frozen=True)
class Pause:
    """A moment between two steps of an epoch, at which a trainer can be saved."""

    trainer: Trainer
    seen: int  # images of the epoch that lie behind
    seconds: float

    def part(self) -> PartialEpoch:
        """What the epoch has counted so far; the host waits for the device."""
        loss, wrong = self.trainer.totals_so_far()
        return PartialEpoch(self.seen, loss, wrong, self.seconds)


def epochs(trainers: Sequence[Trainer]) -> Iterator[tuple[Trainer, Epoch]]:
    """Train every trainer to its end, or until it diverges or is dead; yields (trainer, Epoch) after each epoch.

    They make the same steps, each in an epoch of its own, for one may have been stopped earlier than another.
    """
    return ((trainer, row) for trainer, row in chunks(trainers) if isinstance(row, Epoch))


def chunks(trainers: Sequence[Trainer]) -> Iterator[tuple[Trainer, Epoch | Pause]]:
    """As `epochs`, and a Pause of every trainer after every chunk of steps, at which it can be saved.

    ValueError where batch, images an epoch or mode of the experiments differ.
    """
    if len({(trainer.recipe.batch, trainer.images, trainer.mode) for trainer in trainers}) > 1:
        raise ValueError("experiments that are trained together need the same batch, images an epoch and mode")
    for trainer in trainers:
        if trainer.part and not trainer.finished:  # stopped inside an epoch, each at a place of its own
            yield from _epoch([trainer], stepper([trainer]))
    while active := [trainer for trainer in trainers if not trainer.finished]:
        steps = stepper(active)
        while not any(trainer.finished for trainer in active):
            yield from _epoch(active, steps)


def stepper(trainers: Sequence[Trainer]) -> Stepper:
    """Captured steps where the mode says so; not with several workers, which wait for each other in every step."""
    if not trainers[0].mode.graph or trainers[0].workers.count > 1:
        return EagerSteps(trainers)
    from pipeline.numerics.fast.cuda_graph import record

    return CapturedSteps(trainers, record, recorded_steps(trainers[0]))


def recorded_steps(trainer: Trainer) -> int:
    """Steps of one recording: at most STEPS, and as many as CHUNK_BYTES hold the images of."""
    step = trainer.recipe.batch * trainer.network.side**2 * CHANNELS * trainer.mode.dtype.itemsize
    return max(1, min(STEPS, CHUNK_BYTES // step))


def _epoch(trainers: Sequence[Trainer], steps: Stepper) -> Iterator[tuple[Trainer, Epoch | Pause]]:
    part = trainers[0].part or PartialEpoch(0, 0.0, 0, 0.0)
    before, began = part.seconds, time.perf_counter()
    for trainer in trainers:
        trainer.begin_epoch()
    monitor, seen = DivergenceMonitor(trainers), part.seen
    for chunk in trainers[0].chunks(steps.most):
        steps.run(chunk)
        seen += chunk.steps * chunk.batch
        if monitor.all_diverged():
            break
        if trainers[0].workers.count == 1:  # several would have to stop at the same step
            now = before + (time.perf_counter() - began) / len(trainers)
            yield from ((trainer, Pause(trainer, seen, now)) for trainer in trainers)
    counts = [trainer.totals_so_far() for trainer in trainers]  # here alone, and where a pause is used, the host waits
    seconds = before + (time.perf_counter() - began) / len(trainers)
    for trainer, count in zip(trainers, counts, strict=True):
        yield trainer, trainer.end_epoch(*count, seen, seconds)
