"""Two ways to run the training steps of a chunk: one by one, or captured once as a CUDA graph and then replayed.

A chunk is a `StepBatch`, several consecutive steps. A captured chunk reads its images, labels and dropout keys from
buffers that are filled before every replay. The host thus acts once in up to STEPS steps, and nothing inside an epoch
waits for the device.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.numerics.fast.trainer import StepBatch, Trainer

STEPS = 30  # per captured chunk, at most

Branch = Callable[[], None]  # runs the steps of one trainer
Record = Callable[[Sequence[Trainer], Sequence[Branch]], Branch]  # captures one branch per trainer; returns the replay


class Stepper(Protocol):
    """Runs the steps of several trainers, which all have the same chunks."""

    most: int  # steps per chunk, at most

    def run(self, chunk: StepBatch) -> None:
        """Run the chunk's steps for every trainer; on a GPU this returns before the device has finished."""
        ...


class EagerSteps:
    """Runs one step at a time, trainer by trainer, without capture."""

    most = 1

    def __init__(self, trainers: Sequence[Trainer]):
        self.trainers = trainers

    def run(self, chunk: StepBatch) -> None:
        for trainer in self.trainers:
            trainer.step(*trainer.batch_at(trainer.share(chunk)), chunk.batch)


class CapturedSteps:
    """Captures each kind of chunk at its first use and replays it from then on.

    An epoch has up to three kinds: chunks of `most` steps, one with the remaining full batches, and the smaller last
    batch.
    """

    def __init__(self, trainers: Sequence[Trainer], record: Record, most: int = STEPS):
        self.trainers, self.record, self.most = trainers, record, most
        self._kept: dict[tuple[int, int], _Recording] = {}

    def run(self, chunk: StepBatch) -> None:
        kind = (chunk.steps, chunk.batch)
        if kind not in self._kept:
            self._kept[kind] = _Recording(self.trainers, chunk, self.record)
        self._kept[kind].replay(chunk)


class _Recording:
    """A captured kind of chunk, with the buffers that it reads."""

    def __init__(self, trainers: Sequence[Trainer], chunk: StepBatch, record: Record):
        self.trainers = trainers
        self.buffers = [[part.clone() for part in trainer.batch_at(chunk.positions())] for trainer in trainers]
        branches = [self._branch(trainer, own, chunk) for trainer, own in zip(trainers, self.buffers, strict=True)]
        self._replay = record(trainers, branches)

    def replay(self, chunk: StepBatch) -> None:
        for trainer, own in zip(self.trainers, self.buffers, strict=True):
            for buffer, part in zip(own, trainer.batch_at(chunk.positions()), strict=True):
                buffer.copy_(part)
        self._replay()

    def _branch(self, trainer: Trainer, own: list, chunk: StepBatch) -> Branch:
        images, labels, keys_LB = own
        steps = zip(images.split(chunk.batch), labels.split(chunk.batch), keys_LB.split(chunk.batch, 1), strict=True)
        parts = list(steps)

        def branch() -> None:
            for part in parts:
                trainer.step(*part, chunk.batch)

        return branch
