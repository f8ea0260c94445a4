"""The processes that train one experiment together, each on its share of every batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


class PeerLost(ConnectionError):
    """Another worker of the group has ended, or its machine is gone: no fault of what is trained."""


@contextmanager
def _together() -> Iterator[None]:
    """Inside, the workers talk to each other; torch says of a lost one only RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(f"a worker of the group is gone: {error}") from error


@dataclass(frozen=True)
class ProcessGroup:
    """Of `count` processes, this one is number `rank`; one alone needs no process group.

    All methods raise PeerLost where another worker does not answer any more.
    """

    rank: int = 0
    count: int = 1

    def all_reduce(self, value: Tensor) -> None:
        """Replace a tensor on every worker by the sum over all of them."""
        if self.count > 1:
            from torch.distributed import all_reduce

            with _together():
                all_reduce(value)

    def broadcast(self, value: Tensor) -> None:
        """Replace a tensor on every worker by that of the first."""
        if self.count > 1:
            from torch.distributed import broadcast

            with _together():
                broadcast(value, src=0)

    def all_reduce_int(self, count: int, device: str | torch.device = "cpu") -> int:
        """The sum of a whole number over all workers."""
        held = torch.tensor([count], device=device)
        self.all_reduce(held)
        return int(held.item())

    def broadcast_int(self, value: int, device: str | torch.device = "cpu") -> int:
        """The first worker's number, on every worker."""
        held = torch.tensor([value], device=device)
        self.broadcast(held)
        return int(held.item())


ALONE = ProcessGroup()
