"""A data set on the device, the order in which training walks through it, and what becomes of its images on the way."""

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

Batch = tuple[Tensor, Tensor]  # images (B, C, H, W) float32 as the network sees them, labels (B,) int64


class Source(Protocol):
    """Labelled images by index."""

    def __len__(self) -> int: ...

    def order(self, seed: int, passage: int, streams: int) -> Tensor:
        """The indices (N,) of one pass over the data, shuffled as a function of (seed, passage, streams).

        Place p belongs to stream p % streams. Of a source in pieces, each stream has pieces of its own.
        """
        ...

    def expect(self, begin: int, end: int) -> None:
        """These images will be taken next, in their own order: nothing beyond them need be read ahead."""
        ...

    def take(self, index_B: Tensor) -> Batch:
        """These images (B, C, H, W), unsigned bytes or float32, with their labels, on the device."""
        ...


@dataclass(frozen=True)
class Images:
    """A source held in memory: images (N, C, H, W), unsigned bytes or float32, with their classes (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> "Images":
        return _moved(self, device)

    def order(self, seed: int, passage: int, streams: int) -> Tensor:
        return torch.randperm(len(self), generator=generator_for(seed, "order", passage))

    def expect(self, begin: int, end: int) -> None:
        """All of them are here."""

    def take(self, index_B: Tensor) -> Batch:
        index_B = index_B.to(self.labels.device)
        return self.images[index_B], self.labels[index_B]


@lru_cache(maxsize=4)  # runs on the same data share what lies on the device
def _moved(images: Images, device: str) -> Images:
    return Images(images.images.to(device, memory_format=torch.channels_last), images.labels.to(device))


@dataclass(frozen=True)
class EpochPlan:
    """One epoch as it will be walked, on the CPU: a function of (seed, epoch)."""

    index_E: Tensor  # which image comes when; above N it is the mirrored copy of an image
    how: Augment | None
    draws_EK: Tensor | None  # the random numbers of `how`, a row an image
    stream_E: Tensor | None = None  # the stream that each image comes from, where there are several
    streams: int = 1

    def __len__(self) -> int:
        return len(self.index_E)

    def batches(self, batch: int, rank: int = 0, workers: int = 1) -> Iterator[Tensor]:
        """The places of every batch, or of a worker's share of it."""
        place_E = torch.arange(len(self))
        return (place_E[self.share(at, at + batch, rank, workers)] for at in range(0, len(self), batch))

    def share(self, begin: int, end: int, rank: int, workers: int) -> slice | Tensor:
        """Of these places of one batch, a worker's: those of its streams, or, where as many workers have not as many
        streams each, one place in `workers`."""
        if workers == 1 or self.stream_E is None or self.streams % workers:
            return slice(begin + rank, end, workers)
        return begin + (self.stream_E[begin:end] % workers == rank).nonzero().view(-1)


def unchanged(images: Tensor) -> Tensor:
    return images


@dataclass(frozen=True)
class Loader:
    """A source's images as a recipe wants them: varied for training or not for evaluation, then finished."""

    source: Source
    recipe: Recipe
    finish: Callable[[Tensor], Tensor] = unchanged  # what is left of preprocessing after augmentation

    def __len__(self) -> int:
        return len(self.source)

    def training_batches(
        self, seed: int, epoch: int, rank: int = 0, workers: int = 1
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The batches of an epoch, or the share of them that worker `rank` of several sees; the last may be smaller.

        A batch is images, labels and the images' places in the epoch, (B,). An epoch may be less or more than a pass
        over the data, and an image is varied otherwise in every pass.
        """
        plan = self.epoch_plan(seed, epoch)
        for place_B in plan.batches(self.recipe.batch, rank, workers):
            yield *self.batch_at(plan, place_B), place_B

    def batch_at(self, plan: EpochPlan, place_B: Tensor) -> Batch:
        """The images at these places of an epoch, as training sees them."""
        index_B = plan.index_E[place_B]
        images, labels = self.source.take(index_B % len(self))
        if plan.how is None or plan.draws_EK is None:
            return self._ready(augmentation.eval_transform(images, self.recipe.augment)), labels
        mirrored = index_B >= len(self) if augmentation.copies(plan.how) > 1 else None
        return self._ready(augmentation.augment(images, plan.how, plan.draws_EK[place_B], mirrored)), labels

    def evaluation_batches(self, batch: int = 500, rank: int = 0, workers: int = 1) -> Iterator[Batch]:
        """Every image once, as it lies, not varied; or the batches that fall to one of several workers, neighbors."""
        batches = torch.arange(len(self)).split(batch)
        begin, end = (len(batches) * number // workers for number in (rank, rank + 1))
        self.source.expect(begin * batch, min(end * batch, len(self)))
        for index in batches[begin:end]:
            yield self.eval_batch(index)

    def eval_batch(self, index_B: Tensor) -> Batch:
        """These images as they are evaluated."""
        images, labels = self.source.take(index_B)
        return self._ready(augmentation.eval_transform(images, self.recipe.augment)), labels

    def epoch_plan(self, seed: int, epoch: int) -> EpochPlan:
        """The epoch, drawn before it begins."""
        how = self.recipe.augment_at(epoch)
        copies = augmentation.copies(self.recipe.augment)  # in epochs that vary nothing, too: they are as long
        a_pass = len(self) * copies
        images = self.recipe.epoch_images or a_pass
        at, end = epoch * images, (epoch + 1) * images
        streams = self.recipe.streams
        index, draws, turns = [], [], []
        while at < end:
            passage, begin = divmod(at, a_pass)
            some = self._order(seed, passage, copies)[begin : begin + end - at]
            index.append(some)
            turns.append(torch.arange(begin, begin + len(some)) % streams)
            if how is not None:
                draws.append(augmentation.draw(how, a_pass, seed, passage)[some])
            at += len(some)
        stream_E = torch.cat(turns) if streams > 1 else None
        return EpochPlan(torch.cat(index), how, torch.cat(draws) if draws else None, stream_E, streams)

    def _order(self, seed: int, passage: int, copies: int) -> Tensor:
        if copies == 1:
            return self.source.order(seed, passage, self.recipe.streams)
        return torch.randperm(len(self) * copies, generator=generator_for(seed, "order", passage))

    def _ready(self, images: Tensor) -> Tensor:
        return self.finish(images).contiguous(memory_format=torch.channels_last)
