"""More images than memory holds: a source that reads them from the store, shard by shard, ahead of who takes them.

An order of several streams serves workers that train together: a stream has a part of the images that never changes,
neighboring shards as they were dealt, and the streams take turns, an image each. Who takes the images of some streams
alone reads the shards of these alone. Where one stream's part ends inside a shard, the next begins there.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, pairwise
from threading import Lock

import torch
from torch import Tensor

from pipeline.numerics.loader import Batch
from pipeline.numerics.random_streams import generator_for

WINDOW = 8  # shards whose images are shuffled among each other; twice as many may be in memory
AHEAD = 4  # shards that are read together where they are taken in their order
READERS = 2  # threads

Window = list[range]  # pieces of images in one shard each, whose images are shuffled among each other


class Shards:
    """Images (n, C, H, W) of unsigned bytes in shards of equal length, the last may be shorter; with all labels (N,).

    A pass shuffles the shards of every stream, and the images of a window of them. Shards are read once a pass, and
    those of the next window while this one is taken.
    """

    def __init__(self, read: Callable[[int], Tensor], labels: Tensor, shard: int, device: str = "cpu"):
        self.labels, self.shard, self.device = labels, shard, device
        self._read = read
        self._held: dict[int, Future[Tensor]] = {}
        self._walks = [_Walk(torch.arange(0), [], len(labels), shard)]  # of evaluation, then of the last two passes
        self._at = self._walks[0]
        self._lock = Lock()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="shards")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> "Shards":
        return Shards(self._read, self.labels.to(device), self.shard, device)

    def order(self, seed: int, passage: int, streams: int = 1) -> Tensor:
        order = torch.empty(len(self), dtype=torch.int64)
        by_stream = []
        for number, images in enumerate(parts(len(self), streams)):
            chance = generator_for(seed, "order", passage, *([number] if streams > 1 else []))
            windows = self._windows(images, max(1, WINDOW // streams), chance)
            order[number::streams] = _shuffled(windows, chance)
            by_stream.append(windows)
        walk = _Walk(order, by_stream, len(self), self.shard)
        with self._lock:
            self._walks = [self._walks[0], *self._walks[1:][-1:], walk]
        return order

    def expect(self, begin: int, end: int) -> None:
        windows = [pieces(part, self.shard) for part in pieces(range(begin, end), AHEAD * self.shard)]
        walk = _Walk(torch.arange(begin, end), [windows], len(self), self.shard)
        with self._lock:
            self._walks[0] = walk

    def take(self, index_B: Tensor) -> Batch:
        index_B = index_B.cpu()
        shards = self._shards(index_B)
        first = next(iter(shards.values()))
        out = torch.empty((len(index_B), *first.shape[1:]), dtype=first.dtype).contiguous(
            memory_format=torch.channels_last
        )
        for number, images in shards.items():
            here = index_B // self.shard == number
            out[here] = images[index_B[here] % self.shard]
        return out.to(self.device), self.labels[index_B.to(self.labels.device)]

    def _windows(self, images: range, several: int, chance: torch.Generator) -> list[Window]:
        """A stream's images in pieces that lie in a shard each, in an order by chance, `several` a window."""
        some = pieces(images, self.shard)
        dealt = [some[number] for number in torch.randperm(len(some), generator=chance).tolist()]
        return [dealt[at : at + several] for at in range(0, len(dealt), several)]

    def _shards(self, index_B: Tensor) -> dict[int, Tensor]:
        needed = (index_B // self.shard).unique().tolist()
        with self._lock:
            wanted = dict.fromkeys([*needed, *self._soon(index_B)])
            for number in self._held.keys() - wanted.keys():
                self._held.pop(number).cancel()
            for number in wanted:
                if number not in self._held or _failed(self._held[number]):
                    self._held[number] = self._readers.submit(self._read, number)
            futures = {number: self._held[number] for number in needed}
        return {number: future.result() for number, future in futures.items()}

    def _soon(self, index_B: Tensor) -> list[int]:
        """What comes next in the walk that these images belong to, most likely the one they belonged to before."""
        for walk in (self._at, *self._walks):
            if (soon := walk.after(index_B)) is not None:
                self._at = walk
                return soon
        return []


def parts(images: int, streams: int) -> list[range]:
    """The images of every stream: as many as the turns that it has in a pass."""
    ends = [0]
    for number in range(streams):
        ends.append(ends[-1] + len(range(number, images, streams)))
    return [range(begin, end) for begin, end in pairwise(ends)]


def pieces(images: range, length: int) -> list[range]:
    """Neighboring images, cut where shards of a length end."""
    cuts = [images.start, *range((images.start // length + 1) * length, images.stop, length), images.stop]
    return [range(begin, end) for begin, end in pairwise(cuts) if begin < end]


def _shuffled(windows: Sequence[Window], chance: torch.Generator) -> Tensor:
    shuffled = [torch.empty(0, dtype=torch.int64)]
    for window in windows:
        index = torch.cat([torch.arange(piece.start, piece.stop) for piece in window])
        shuffled.append(index[torch.randperm(len(index), generator=chance)])
    return torch.cat(shuffled)


class _Walk:
    """A pass, or a part of it: its images in their order, and of every stream the windows, one after the other."""

    def __init__(self, order: Tensor, streams: Sequence[Sequence[Window]], images: int, shard: int):
        self.shards = [[[piece.start // shard for piece in window] for window in windows] for windows in streams]
        self.ends = [list(accumulate(sum(map(len, window)) for window in windows)) for windows in streams]
        self.place_N = torch.full((images,), -1, dtype=torch.int32)
        self.place_N[order] = torch.arange(len(order), dtype=torch.int32)
        self.at = -1  # the place last taken

    def after(self, index_B: Tensor) -> list[int] | None:
        """The shards of the windows that hold these images, and of the next; None if they do not come next here."""
        places = self.place_N[index_B].tolist()
        if places[0] <= self.at or any(one >= other for one, other in pairwise(places)):
            return None
        self.at = places[-1]
        touched: dict[int, list[int]] = {}
        for place in places:
            row, stream = divmod(place, len(self.shards))
            touched.setdefault(stream, []).append(bisect_right(self.ends[stream], row))
        soon = []
        for stream, windows in touched.items():
            more = 2 if windows[0] == windows[-1] else 1
            soon += [shard for window in self.shards[stream][windows[-1] :][:more] for shard in window]
        return soon


def _failed(future: Future) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
