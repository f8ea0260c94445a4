"""Has training diverged? Answered inside an epoch, and without waiting for the device."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.numerics.fast.trainer import Trainer


class DivergenceMonitor:
    """Rings once no lane's loss is finite any more; on a GPU some steps later, when the news has arrived."""

    def __init__(self, lanes: Sequence[Trainer]):
        self.lanes = [lane for lane in lanes if lane.workers.count == 1]  # several must stop at the same step: never
        self._on_its_way: tuple[Tensor, torch.cuda.Event] | None = None

    def all_diverged(self) -> bool:
        if not self.lanes:
            return False
        if self.lanes[0].device.type == "cpu":
            return not any(bool(lane.totals[0].isfinite()) for lane in self.lanes)
        if self._on_its_way is None:
            self._on_its_way = self._sent()
        losses, arrived = self._on_its_way
        if not arrived.query():
            return False
        self._on_its_way = None
        return not bool(losses.isfinite().any())

    def _sent(self) -> tuple[Tensor, torch.cuda.Event]:
        losses = torch.stack([lane.totals[0] for lane in self.lanes])
        here = torch.empty(len(losses), dtype=losses.dtype, pin_memory=True)
        here.copy_(losses, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return here, arrived
