"""The fast training loop, for one experiment or for several side by side in one process.

Each experiment gets the same epochs as from reference_loop.epochs, within the tolerances that tests state.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.numerics.fast.divergence import DivergenceMonitor
from pipeline.numerics.fast.execution import STEPS, CapturedSteps, EagerSteps, Stepper
from pipeline.numerics.fast.trainer import CHANNELS, Trainer
from pipeline.numerics.reference_loop import Epoch, PartialEpoch

CHUNK_BYTES = 2**28  # memory of the images of one captured chunk, at most


@dataclass(frozen=True)
class Pause:
    """A point between two steps of an epoch at which the trainer's state can be saved."""

    trainer: Trainer
    seen: int  # images of the epoch trained on so far
    seconds: float  # wall-clock time of the epoch so far, this trainer's share

    def part(self) -> PartialEpoch:
        """The counts of the epoch so far; waits for the device."""
        loss, wrong = self.trainer.totals_so_far()
        return PartialEpoch(self.seen, loss, wrong, self.seconds)


def epochs(trainers: Sequence[Trainer]) -> Iterator[tuple[Trainer, Epoch]]:
    """Train all trainers until each has finished, diverged or died; yields (trainer, Epoch) after each epoch.

    Trainers run their steps side by side but count epochs separately, so that runs resumed at different epochs can be
    trained together.
    """
    return ((trainer, row) for trainer, row in chunks(trainers) if isinstance(row, Epoch))


def chunks(trainers: Sequence[Trainer]) -> Iterator[tuple[Trainer, Epoch | Pause]]:
    """As `epochs`, and a `Pause` of each trainer after every chunk of steps, except with several workers.

    ValueError if batch size, images per epoch or mode differ between the trainers.
    """
    if len({(trainer.recipe.batch, trainer.images, trainer.mode) for trainer in trainers}) > 1:
        raise ValueError("experiments that are trained together need the same batch, images an epoch and mode")
    for trainer in trainers:
        if trainer.part and not trainer.finished:  # stopped inside an epoch: it finishes that epoch alone
            yield from _epoch([trainer], stepper([trainer]))
    while active := [trainer for trainer in trainers if not trainer.finished]:
        steps = stepper(active)
        while not any(trainer.finished for trainer in active):
            yield from _epoch(active, steps)


def stepper(trainers: Sequence[Trainer]) -> Stepper:
    """The way to run the trainers' steps: captured if the mode says so, else one by one.

    Steps of several workers are never captured, because the workers wait for each other in every step.
    """
    if not trainers[0].mode.graph or trainers[0].workers.count > 1:
        return EagerSteps(trainers)
    from pipeline.numerics.fast.cuda_graph import record

    return CapturedSteps(trainers, record, recorded_steps(trainers[0]))


def recorded_steps(trainer: Trainer) -> int:
    """Steps per captured chunk: at most STEPS, and no more than CHUNK_BYTES of images; at least 1."""
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
        if trainers[0].workers.count == 1:  # several would have to be saved at the same step
            now = before + (time.perf_counter() - began) / len(trainers)
            yield from ((trainer, Pause(trainer, seen, now)) for trainer in trainers)
    counts = [trainer.totals_so_far() for trainer in trainers]  # waits for the device; besides, only Pause.part does
    seconds = before + (time.perf_counter() - began) / len(trainers)
    for trainer, count in zip(trainers, counts, strict=True):
        yield trainer, trainer.end_epoch(*count, seen, seconds)
