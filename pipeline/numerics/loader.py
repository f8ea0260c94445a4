"""Batches for training and evaluation: sources of images, the order of each epoch, augmentation, preprocessing.

Shapes: N images in the data set, E positions in an epoch, B images in a batch, K random numbers per image. A position
counts the images of an epoch in the order in which they are trained on; an index says where an image is in the source.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from pipeline.numerics import augmentation
from pipeline.numerics.random_streams import generator_for
from pipeline.paper.augmentations import Augment
from pipeline.paper.recipes import Recipe

Batch = tuple[Tensor, Tensor]  # images (B, C, H, W), float32 or, as a source may hold them, uint8; labels (B,) int64


class Source(Protocol):
    """Labeled images that can be read by index."""

    def __len__(self) -> int: ...

    def order(self, seed: int, passage: int, streams: int) -> Tensor:
        """The indices (N,) of pass number `passage` over the data, shuffled as a function of (seed, passage, streams).

        Position p belongs to stream p % streams. In a source of several shards, each stream has a fixed part of them.
        """
        ...

    def expect(self, begin: int, end: int) -> None:
        """Announce that images `begin` to `end` - 1 will be taken next, in order, so that they can be read ahead."""
        ...

    def take(self, index_B: Tensor) -> Batch:
        """Images (B, C, H, W), uint8 or float32, and labels (B,) int64 at these indices, on the source's device."""
        ...


@dataclass(frozen=True)
class Images:
    """A source in memory: images (N, C, H, W), uint8 or float32, and their labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> "Images":
        return _moved(self, device)

    def order(self, seed: int, passage: int, streams: int) -> Tensor:
        return torch.randperm(len(self), generator=generator_for(seed, "order", passage))

    def expect(self, begin: int, end: int) -> None:
        """Nothing to do: all images are in memory."""

    def take(self, index_B: Tensor) -> Batch:
        index_B = index_B.to(self.labels.device)
        return self.images[index_B], self.labels[index_B]


@lru_cache(maxsize=4)  # runs on the same data set share one copy on the device
def _moved(images: Images, device: str) -> Images:
    return Images(images.images.to(device, memory_format=torch.channels_last), images.labels.to(device))


@dataclass(frozen=True)
class EpochPlan:
    """The order and the random numbers of one epoch, on the CPU: a function of (seed, epoch)."""

    index_E: Tensor  # the image at each position; N and above: the mirrored copy of image index - N
    how: Augment | None  # None: the epoch is not augmented
    draws_EK: Tensor | None  # the random numbers of `how`, one row per position
    stream_E: Tensor | None = None  # the stream of each position; None: there is only one
    streams: int = 1

    def __len__(self) -> int:
        return len(self.index_E)

    def batches(self, batch: int, rank: int = 0, workers: int = 1) -> Iterator[Tensor]:
        """The positions of each batch, or of the share of it that belongs to worker `rank` of `workers`."""
        place_E = torch.arange(len(self))
        return (place_E[self.share(at, at + batch, rank, workers)] for at in range(0, len(self), batch))

    def share(self, begin: int, end: int, rank: int, workers: int) -> slice | Tensor:
        """The positions of the batch `begin` to `end` - 1 that belong to worker `rank` of `workers`.

        If the streams divide evenly among the workers, worker r has the streams s with s % workers == r, and with them
        their positions. Otherwise it has every position begin + r + i * workers.
        """
        if workers == 1 or self.stream_E is None or self.streams % workers:
            return slice(begin + rank, end, workers)
        return begin + (self.stream_E[begin:end] % workers == rank).nonzero().view(-1)


def unchanged(images: Tensor) -> Tensor:
    """The images as they are: no preprocessing remains to be done."""
    return images


@dataclass(frozen=True)
class Loader:
    """Batches of a source, prepared as a recipe says: augmented for training but not for evaluation, then finished."""

    source: Source
    recipe: Recipe
    finish: Callable[[Tensor], Tensor] = unchanged  # the part of the preprocessing that follows augmentation

    def __len__(self) -> int:
        return len(self.source)

    def training_batches(
        self, seed: int, epoch: int, rank: int = 0, workers: int = 1
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the batches of an epoch, or the share of each that belongs to worker `rank` of `workers`.

        Each is images (B, C, H, W) float32, labels (B,) and positions in the epoch (B,); the last may be smaller. An
        epoch may be shorter or longer than a pass over the data; every pass is shuffled and augmented anew.
        """
        plan = self.epoch_plan(seed, epoch)
        for place_B in plan.batches(self.recipe.batch, rank, workers):
            yield *self.batch_at(plan, place_B), place_B

    def batch_at(self, plan: EpochPlan, place_B: Tensor) -> Batch:
        """Images (B, C, H, W) float32, augmented and preprocessed, and labels (B,) at these positions of an epoch."""
        index_B = plan.index_E[place_B]
        images, labels = self.source.take(index_B % len(self))
        if plan.how is None or plan.draws_EK is None:
            return self._ready(augmentation.eval_transform(images, self.recipe.augment)), labels
        mirrored = index_B >= len(self) if self.recipe.copies > 1 else None
        return self._ready(augmentation.augment(images, plan.how, plan.draws_EK[place_B], mirrored)), labels

    def evaluation_batches(self, batch: int = 500, rank: int = 0, workers: int = 1) -> Iterator[Batch]:
        """Yield every image once, in the source's order and without augmentation, `batch` images at a time.

        Of several workers, each gets a contiguous part of the batches.
        """
        batches = torch.arange(len(self)).split(batch)
        begin, end = (len(batches) * number // workers for number in (rank, rank + 1))
        self.source.expect(begin * batch, min(end * batch, len(self)))
        for index in batches[begin:end]:
            yield self.eval_batch(index)

    def eval_batch(self, index_B: Tensor) -> Batch:
        """Images (B, C, H, W) float32, preprocessed but not augmented, and labels (B,) at these indices."""
        images, labels = self.source.take(index_B)
        return self._ready(augmentation.eval_transform(images, self.recipe.augment)), labels

    def epoch_plan(self, seed: int, epoch: int) -> EpochPlan:
        """Draw the order and the random numbers of an epoch, counted from 0."""
        how = self.recipe.augment_at(epoch)
        a_pass = len(self) * self.recipe.copies  # without augmentation too: all epochs are equally long
        images = self.recipe.epoch_images or a_pass
        at, end = epoch * images, (epoch + 1) * images
        streams = self.recipe.streams
        index, draws, turns = [], [], []
        while at < end:
            passage, begin = divmod(at, a_pass)
            some = self._order(seed, passage)[begin : begin + end - at]
            index.append(some)
            turns.append(torch.arange(begin, begin + len(some)) % streams)
            if how is not None:
                draws.append(augmentation.draw(how, a_pass, seed, passage)[some])
            at += len(some)
        stream_E = torch.cat(turns) if streams > 1 else None
        return EpochPlan(torch.cat(index), how, torch.cat(draws) if draws else None, stream_E, streams)

    def _order(self, seed: int, passage: int) -> Tensor:
        if self.recipe.copies == 1:
            return self.source.order(seed, passage, self.recipe.streams)
        return torch.randperm(len(self) * self.recipe.copies, generator=generator_for(seed, "order", passage))

    def _ready(self, images: Tensor) -> Tensor:
        return self.finish(images).contiguous(memory_format=torch.channels_last)
