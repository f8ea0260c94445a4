"""Communication between the workers (processes) that train one experiment together, each on a share of every batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


class PeerLost(ConnectionError):
    """Another worker of the group has ended, or its machine is unreachable; the experiment is not the cause."""


@contextmanager
def _together() -> Iterator[None]:
    """Raise PeerLost in place of the RuntimeError by which torch.distributed reports a lost worker."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(f"a worker of the group is gone: {error}") from error


@dataclass(frozen=True)
class ProcessGroup:
    """Worker `rank` of `count`. With a count of 1 all methods work without torch.distributed.

    All methods raise PeerLost when another worker no longer answers.
    """

    rank: int = 0
    count: int = 1

    def all_reduce(self, value: Tensor) -> None:
        """Replace the tensor, in place on every worker, by its sum over all workers."""
        if self.count > 1:
            from torch.distributed import all_reduce

            with _together():
                all_reduce(value)

    def broadcast(self, value: Tensor) -> None:
        """Replace the tensor, in place on every worker, by that of worker 0."""
        if self.count > 1:
            from torch.distributed import broadcast

            with _together():
                broadcast(value, src=0)

    def all_reduce_int(self, count: int, device: str | torch.device = "cpu") -> int:
        """The sum of an integer over all workers."""
        held = torch.tensor([count], device=device)
        self.all_reduce(held)
        return int(held.item())

    def broadcast_int(self, value: int, device: str | torch.device = "cpu") -> int:
        """Worker 0's integer, on every worker."""
        held = torch.tensor([value], device=device)
        self.broadcast(held)
        return int(held.item())


ALONE = ProcessGroup()
