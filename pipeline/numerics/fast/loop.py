"""Several experiments trained side by side in one process: train.epochs for each, and the same rows."""

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
    """A moment between two steps of an epoch, at which a lane can be saved."""

    lane: Trainer
    seen: int  # images of the epoch that lie behind
    seconds: float

    def part(self) -> PartialEpoch:
        """What the epoch has counted so far; the host waits for the device."""
        loss, wrong = self.lane.totals_so_far()
        return PartialEpoch(self.seen, loss, wrong, self.seconds)


def epochs(lanes: Sequence[Trainer]) -> Iterator[tuple[Trainer, Epoch]]:
    """Train every lane to its end, or until it diverges or is dead; a lane's row is yielded when its epoch is over.

    They make the same steps, each in an epoch of its own, for one may have been stopped earlier than another.
    """
    return ((lane, row) for lane, row in chunks(lanes) if isinstance(row, Epoch))


def chunks(lanes: Sequence[Trainer]) -> Iterator[tuple[Trainer, Epoch | Pause]]:
    """As `epochs`, and inside an epoch a chance to save every lane, after every chunk of steps."""
    if len({(lane.recipe.batch, lane.images, lane.mode) for lane in lanes}) > 1:
        raise ValueError("experiments that are trained together need the same batch, images an epoch and mode")
    for lane in lanes:
        if lane.part and not lane.finished:  # stopped inside an epoch, each at a place of its own
            yield from _epoch([lane], stepper([lane]))
    while active := [lane for lane in lanes if not lane.finished]:
        how = stepper(active)
        while not any(lane.finished for lane in active):
            yield from _epoch(active, how)


def stepper(lanes: Sequence[Trainer]) -> Stepper:
    """Recorded where the mode says so; several workers wait for each other in every step, and are not recorded."""
    if not lanes[0].mode.graph or lanes[0].workers.count > 1:
        return EagerSteps(lanes)
    from pipeline.numerics.fast.cuda_graph import record

    return CapturedSteps(lanes, record, recorded_steps(lanes[0]))


def recorded_steps(lane: Trainer) -> int:
    """As many as their images leave room for."""
    step = lane.recipe.batch * lane.network.side**2 * CHANNELS * lane.mode.dtype.itemsize
    return max(1, min(STEPS, CHUNK_BYTES // step))


def _epoch(lanes: Sequence[Trainer], how: Stepper) -> Iterator[tuple[Trainer, Epoch | Pause]]:
    part = lanes[0].part or PartialEpoch(0, 0.0, 0, 0.0)
    before, began = part.seconds, time.perf_counter()
    for lane in lanes:
        lane.begin_epoch()
    alarm, seen = DivergenceMonitor(lanes), part.seen
    for chunk in lanes[0].chunks(how.most):
        how.run(chunk)
        seen += chunk.steps * chunk.batch
        if alarm.all_diverged():
            break
        if lanes[0].workers.count == 1:  # several would have to stop at the same step
            now = before + (time.perf_counter() - began) / len(lanes)
            yield from ((lane, Pause(lane, seen, now)) for lane in lanes)
    counts = [lane.totals_so_far() for lane in lanes]  # here alone, and where a pause is used, the host waits
    seconds = before + (time.perf_counter() - began) / len(lanes)
    for lane, count in zip(lanes, counts, strict=True):
        yield lane, lane.end_epoch(*count, seen, seconds)
