"""Detection of divergence inside an epoch, without waiting for the device."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.numerics.fast.trainer import Trainer


class DivergenceMonitor:
    """Tells when the losses of all trainers are NaN or infinite.

    On a GPU it finds out some steps later, when an asynchronous copy of the losses has arrived.
    """

    def __init__(self, trainers: Sequence[Trainer]):
        # not with several workers per experiment, which would have to stop at the same step
        self.trainers = [trainer for trainer in trainers if trainer.workers.count == 1]
        self._copy: tuple[Tensor, torch.cuda.Event] | None = None

    def all_diverged(self) -> bool:
        """Whether the loss summed over the epoch so far is NaN or infinite for every trainer; False if unknown yet."""
        if not self.trainers:
            return False
        if self.trainers[0].device.type == "cpu":
            return not any(bool(trainer.totals[0].isfinite()) for trainer in self.trainers)
        if self._copy is None:
            self._copy = self._copied()
        losses, arrived = self._copy
        if not arrived.query():
            return False
        self._copy = None
        return not bool(losses.isfinite().any())

    def _copied(self) -> tuple[Tensor, torch.cuda.Event]:
        losses = torch.stack([trainer.totals[0] for trainer in self.trainers])
        here = torch.empty(len(losses), dtype=losses.dtype, pin_memory=True)
        here.copy_(losses, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return here, arrived
