"""Several experiments trained side by side in one process: train.epochs for each, and the same rows."""

import time
from collections.abc import Iterator, Sequence

from pipeline.numerics.fast.divergence import Alarm
from pipeline.numerics.fast.execution import STEPS, Eager, Recorded, Stepper
from pipeline.numerics.fast.trainer import CHANNELS, Lane
from pipeline.numerics.reference_loop import Epoch

CHUNK_BYTES = 2**28  # of the images that one recording reads


def epochs(lanes: Sequence[Lane]) -> Iterator[tuple[Lane, Epoch]]:
    """Train every lane to its end or until it diverges; a lane's row is yielded when its epoch is over.

    They make the same steps, each in an epoch of its own, for one may have been stopped earlier than another.
    """
    if len({(lane.recipe.batch, lane.images, lane.mode) for lane in lanes}) > 1:
        raise ValueError("experiments that are trained together need the same batch, images an epoch and mode")
    while active := [lane for lane in lanes if not lane.finished]:
        how = stepper(active)
        while not any(lane.finished for lane in active):
            yield from _epoch(active, how)


def stepper(lanes: Sequence[Lane]) -> Stepper:
    """Recorded where the mode says so; several workers wait for each other in every step, and are not recorded."""
    if not lanes[0].mode.graph or lanes[0].workers.count > 1:
        return Eager(lanes)
    from pipeline.numerics.fast.cuda_graph import record

    return Recorded(lanes, record, recorded_steps(lanes[0]))


def recorded_steps(lane: Lane) -> int:
    """As many as their images leave room for."""
    step = lane.recipe.batch * lane.network.side**2 * CHANNELS * lane.mode.dtype.itemsize
    return max(1, min(STEPS, CHUNK_BYTES // step))


def _epoch(lanes: Sequence[Lane], how: Stepper) -> Iterator[tuple[Lane, Epoch]]:
    began = time.perf_counter()
    for lane in lanes:
        lane.begin_epoch()
    alarm, seen = Alarm(lanes), 0
    for chunk in lanes[0].chunks(how.most):
        how.run(chunk)
        seen += chunk.steps * chunk.batch
        if alarm.rings():
            break
    counts = [lane.counted() for lane in lanes]  # here alone the host waits
    seconds = (time.perf_counter() - began) / len(lanes)
    for lane, count in zip(lanes, counts, strict=True):
        yield lane, lane.end_epoch(*count, seen, seconds)
