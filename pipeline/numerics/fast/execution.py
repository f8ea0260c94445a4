"""Ways to make the steps of a chunk: one call after the other, or recorded once and replayed without the host.

A recorded chunk reads its images, labels and keys from buffers that are filled before every replay. So the host is
needed once in STEPS steps, and nothing inside an epoch waits for the device.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.numerics.fast.trainer import StepBatch, Trainer

STEPS = 30  # of a recorded chunk, at most

Branch = Callable[[], None]  # the steps of one trainer
Record = Callable[[Sequence[Trainer], Sequence[Branch]], Branch]  # branches side by side, ready to be replayed


class Stepper(Protocol):
    """Makes the steps of trainers side by side."""

    most: int  # steps a chunk

    def run(self, chunk: StepBatch) -> None: ...


class EagerSteps:
    """One step of one trainer after the other."""

    most = 1

    def __init__(self, trainers: Sequence[Trainer]):
        self.trainers = trainers

    def run(self, chunk: StepBatch) -> None:
        for trainer in self.trainers:
            trainer.step(*trainer.batch_at(trainer.share(chunk)), chunk.batch)


class CapturedSteps:
    """A recording for every kind of chunk: full ones, what is left of the full batches, and the last, smaller batch."""

    def __init__(self, trainers: Sequence[Trainer], record: Record, most: int = STEPS):
        self.trainers, self.record, self.most = trainers, record, most
        self._kept: dict[tuple[int, int], _Recording] = {}

    def run(self, chunk: StepBatch) -> None:
        kind = (chunk.steps, chunk.batch)
        if kind not in self._kept:
            self._kept[kind] = _Recording(self.trainers, chunk, self.record)
        self._kept[kind].replay(chunk)


class _Recording:
    """The buffers of one kind of chunk, and what reads them."""

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
