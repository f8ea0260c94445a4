"""Ways to make the steps of a chunk: one call after the other, or recorded once and replayed without the host.

A recorded chunk reads its images, labels and keys from buffers that are filled before every replay. So the host is
needed once in STEPS steps, and nothing inside an epoch waits for the device.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.numerics.fast.trainer import Chunk, Lane

STEPS = 30  # of a recorded chunk, at most

Branch = Callable[[], None]  # the steps of one lane
Record = Callable[[Sequence[Lane], Sequence[Branch]], Branch]  # branches side by side, ready to be replayed


class Stepper(Protocol):
    """Makes the steps of lanes side by side."""

    most: int  # steps a chunk

    def run(self, chunk: Chunk) -> None: ...


class Eager:
    """One step of one lane after the other."""

    most = 1

    def __init__(self, lanes: Sequence[Lane]):
        self.lanes = lanes

    def run(self, chunk: Chunk) -> None:
        for lane in self.lanes:
            places = chunk.places(lane.workers)
            lane.step(*lane.shown(places), chunk.batch)


class Recorded:
    """A recording for every kind of chunk: full ones, what is left of the full batches, and the last, smaller batch."""

    def __init__(self, lanes: Sequence[Lane], record: Record, most: int = STEPS):
        self.lanes, self.record, self.most = lanes, record, most
        self._kept: dict[tuple[int, int], _Recording] = {}

    def run(self, chunk: Chunk) -> None:
        kind = (chunk.steps, chunk.batch)
        if kind not in self._kept:
            self._kept[kind] = _Recording(self.lanes, chunk, self.record)
        self._kept[kind].replay(chunk)


class _Recording:
    """The buffers of one kind of chunk, and what reads them."""

    def __init__(self, lanes: Sequence[Lane], chunk: Chunk, record: Record):
        self.lanes = lanes
        self.buffers = [[part.clone() for part in lane.shown(chunk.places())] for lane in lanes]
        branches = [self._branch(lane, own, chunk) for lane, own in zip(lanes, self.buffers, strict=True)]
        self._replay = record(lanes, branches)

    def replay(self, chunk: Chunk) -> None:
        for lane, own in zip(self.lanes, self.buffers, strict=True):
            for buffer, part in zip(own, lane.shown(chunk.places()), strict=True):
                buffer.copy_(part)
        self._replay()

    def _branch(self, lane: Lane, own: list, chunk: Chunk) -> Branch:
        images, labels, keys_LB = own
        steps = zip(images.split(chunk.batch), labels.split(chunk.batch), keys_LB.split(chunk.batch, 1), strict=True)
        parts = list(steps)

        def branch() -> None:
            for part in parts:
                lane.step(*part, chunk.batch)

        return branch
