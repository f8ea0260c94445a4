"""More images than memory holds: a source that reads them from the store, shard by shard, ahead of who takes them."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import torch
from torch import Tensor

from pipeline.numerics.loader import Batch
from pipeline.numerics.random_streams import generator_for

WINDOW = 8  # shards whose images are shuffled among each other; twice as many may be in memory
AHEAD = 4  # shards that are read together where they are taken in their order
READERS = 2  # threads


class Shards:
    """Images (n, C, H, W) of unsigned bytes in shards of equal length, the last may be shorter; with all labels (N,).

    A pass shuffles the shards, and the images of every WINDOW of them. Shards are read once a pass, and those of the
    next window while this one is taken.
    """

    def __init__(self, read: Callable[[int], Tensor], labels: Tensor, shard: int, device: str = "cpu"):
        self.labels, self.shard, self.device = labels, shard, device
        self._read = read
        self._held: dict[int, Future[Tensor]] = {}
        in_order = torch.arange(-(-len(labels) // shard)).split(AHEAD)
        self._walks = [_Walk(in_order)]  # of evaluation, then of the last two passes
        self._at = self._walks[0]
        self._lock = Lock()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="shards")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> "Shards":
        return Shards(self._read, self.labels.to(device), self.shard, device)

    def order(self, seed: int, passage: int) -> Tensor:
        chance = generator_for(seed, "order", passage)
        windows = torch.randperm(-(-len(self) // self.shard), generator=chance).split(WINDOW)
        with self._lock:
            self._walks = [self._walks[0], *self._walks[1:][-1:], _Walk(windows)]
        inside = [torch.cat([self._of(int(shard)) for shard in window]) for window in windows]
        return torch.cat([index[torch.randperm(len(index), generator=chance)] for index in inside])

    def take(self, index_B: Tensor) -> Batch:
        index_B = index_B.cpu()
        needed = (index_B // self.shard).unique().tolist()
        shards = self._shards(needed)
        first = shards[needed[0]]
        out = torch.empty((len(index_B), *first.shape[1:]), dtype=first.dtype).contiguous(
            memory_format=torch.channels_last
        )
        for number, images in shards.items():
            here = index_B // self.shard == number
            out[here] = images[index_B[here] % self.shard]
        return out.to(self.device), self.labels[index_B.to(self.labels.device)]

    def _of(self, shard: int) -> Tensor:
        return torch.arange(shard * self.shard, min((shard + 1) * self.shard, len(self)))

    def _shards(self, needed: list[int]) -> dict[int, Tensor]:
        with self._lock:
            wanted = [*needed, *self._soon(set(needed))]
            for number in self._held.keys() - set(wanted):
                self._held.pop(number).cancel()
            for number in wanted:
                if number not in self._held or _failed(self._held[number]):
                    self._held[number] = self._readers.submit(self._read, number)
            futures = {number: self._held[number] for number in needed}
        return {number: future.result() for number, future in futures.items()}

    def _soon(self, needed: set[int]) -> list[int]:
        """What comes next in the walk that these shards belong to, most likely the one they belonged to before."""
        for walk in (self._at, *self._walks):
            if (soon := walk.after(needed)) is not None:
                self._at = walk
                return soon
        return []


class _Walk:
    """The windows of a pass, one after the other."""

    def __init__(self, windows: tuple[Tensor, ...]):
        self.windows = [window.tolist() for window in windows]
        self.place = {shard: place for place, window in enumerate(self.windows) for shard in window}

    def after(self, shards: set[int]) -> list[int] | None:
        """The rest of the window or windows that hold these shards, and the next; None if they are not neighbors."""
        places = {self.place[shard] for shard in shards}
        first, last = min(places), max(places)
        if last - first > 1:
            return None
        here = self.windows[last]
        ahead = self.windows[last + 1] if first == last and last + 1 < len(self.windows) else []
        return [shard for shard in (*here, *ahead) if shard not in shards]


def _failed(future: Future) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
