"""Ways to make the steps of a chunk: one call after the other, or recorded once and replayed without the host.

A recorded chunk reads its images, labels and keys from buffers that are filled before every replay. So the host is
needed once in STEPS steps, and nothing inside an epoch waits for the device.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.numerics.fast.trainer import StepBatch, Trainer

STEPS = 30  # of a recorded chunk, at most

Branch = Callable[[], None]  # the steps of one lane
Record = Callable[[Sequence[Trainer], Sequence[Branch]], Branch]  # branches side by side, ready to be replayed


class Stepper(Protocol):
    """Makes the steps of lanes side by side."""

    most: int  # steps a chunk

    def run(self, chunk: StepBatch) -> None: ...


class EagerSteps:
    """One step of one lane after the other."""

    most = 1

    def __init__(self, lanes: Sequence[Trainer]):
        self.lanes = lanes

    def run(self, chunk: StepBatch) -> None:
        for lane in self.lanes:
            places = chunk.positions(lane.workers)
            lane.step(*lane.batch_at(places), chunk.batch)


class CapturedSteps:
    """A recording for every kind of chunk: full ones, what is left of the full batches, and the last, smaller batch."""

    def __init__(self, lanes: Sequence[Trainer], record: Record, most: int = STEPS):
        self.lanes, self.record, self.most = lanes, record, most
        self._kept: dict[tuple[int, int], _Recording] = {}

    def run(self, chunk: StepBatch) -> None:
        kind = (chunk.steps, chunk.batch)
        if kind not in self._kept:
            self._kept[kind] = _Recording(self.lanes, chunk, self.record)
        self._kept[kind].replay(chunk)


class _Recording:
    """The buffers of one kind of chunk, and what reads them."""

    def __init__(self, lanes: Sequence[Trainer], chunk: StepBatch, record: Record):
        self.lanes = lanes
        self.buffers = [[part.clone() for part in lane.batch_at(chunk.positions())] for lane in lanes]
        branches = [self._branch(lane, own, chunk) for lane, own in zip(lanes, self.buffers, strict=True)]
        self._replay = record(lanes, branches)

    def replay(self, chunk: StepBatch) -> None:
        for lane, own in zip(self.lanes, self.buffers, strict=True):
            for buffer, part in zip(own, lane.batch_at(chunk.positions()), strict=True):
                buffer.copy_(part)
        self._replay()

    def _branch(self, lane: Trainer, own: list, chunk: StepBatch) -> Branch:
        images, labels, keys_LB = own
        steps = zip(images.split(chunk.batch), labels.split(chunk.batch), keys_LB.split(chunk.batch, 1), strict=True)
        parts = list(steps)

        def branch() -> None:
            for part in parts:
                lane.step(*part, chunk.batch)

        return branch
