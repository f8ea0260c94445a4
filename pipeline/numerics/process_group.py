"""The processes that train one experiment together, each on its share of every batch."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Workers:
    """Of `count` processes, this one is number `rank`; one alone needs no process group."""

    rank: int = 0
    count: int = 1

    def sum(self, value: Tensor) -> None:
        """Replace a tensor on every worker by the sum over all of them."""
        if self.count > 1:
            from torch.distributed import all_reduce

            all_reduce(value)

    def copy_first(self, value: Tensor) -> None:
        """Replace a tensor on every worker by that of the first."""
        if self.count > 1:
            from torch.distributed import broadcast

            broadcast(value, src=0)

    def total(self, count: int, device: str | torch.device = "cpu") -> int:
        """The sum of a whole number over all workers."""
        held = torch.tensor([count], device=device)
        self.sum(held)
        return int(held.item())

    def first(self, value: int, device: str | torch.device = "cpu") -> int:
        """The first worker's number, on every worker."""
        held = torch.tensor([value], device=device)
        self.copy_first(held)
        return int(held.item())


ALONE = Workers()
