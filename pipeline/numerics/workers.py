"""The processes that train one experiment together, each on its share of every batch."""

from dataclasses import dataclass

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


ALONE = Workers()
