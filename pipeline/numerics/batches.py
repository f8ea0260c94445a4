"""A data set on the device, the order in which training walks through it, and what becomes of its images on the way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipeline.numerics import augment
from pipeline.numerics.streams import stream
from pipeline.paper.augment import Augment
from pipeline.paper.recipes import Recipe

Batch = tuple[Tensor, Tensor]  # images (B, C, H, W) float32 as the network sees them, labels (B,) int64


class Source(Protocol):
    """Labelled images by index."""

    def __len__(self) -> int: ...

    def order(self, seed: int, passage: int) -> Tensor:
        """The indices (N,) of one pass over the data, shuffled as a function of (seed, passage)."""
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
        return Images(self.images.to(device, memory_format=torch.channels_last), self.labels.to(device))

    def order(self, seed: int, passage: int) -> Tensor:
        return torch.randperm(len(self), generator=stream(seed, "order", passage))

    def take(self, index_B: Tensor) -> Batch:
        index_B = index_B.to(self.labels.device)
        return self.images[index_B], self.labels[index_B]


def unchanged(images: Tensor) -> Tensor:
    return images


@dataclass(frozen=True)
class Feed:
    """A source's images as a recipe wants them: varied for training or not for evaluation, then finished."""

    source: Source
    recipe: Recipe
    finish: Callable[[Tensor], Tensor] = unchanged  # what is left of preprocessing after augmentation

    def __len__(self) -> int:
        return len(self.source)

    def training(self, seed: int, epoch: int, rank: int = 0, workers: int = 1) -> Iterator[Batch]:
        """The batches of an epoch, or the share of them that worker `rank` of several sees; the last may be smaller.

        An epoch may be less or more than a pass over the data, and an image varied otherwise in every pass.
        """
        how = self.recipe.augment_at(epoch)
        index_E, draws_EK = self._epoch(how, seed, epoch)
        for share in torch.arange(len(index_E)).split(self.recipe.batch):
            share = share[rank::workers]
            images, labels = self.source.take(index_E[share] % len(self))
            if how is None or draws_EK is None:
                yield self._ready(augment.plain(images, self.recipe.augment)), labels
            else:
                mirrored = index_E[share] >= len(self) if augment.copies(how) > 1 else None
                yield self._ready(augment.varied(images, how, draws_EK[share], mirrored)), labels

    def evaluation(self, batch: int = 500) -> Iterator[Batch]:
        """Every image once, as it lies, not varied."""
        for index in torch.arange(len(self)).split(batch):
            yield self.seen(index)

    def seen(self, index_B: Tensor) -> Batch:
        """These images as they are evaluated."""
        images, labels = self.source.take(index_B)
        return self._ready(augment.plain(images, self.recipe.augment)), labels

    def _epoch(self, how: Augment | None, seed: int, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Which image comes when, (E,), and its random numbers (E, K); an index above N is an image's mirrored copy."""
        copies = augment.copies(how) if how else 1
        a_pass = len(self) * copies
        images = self.recipe.epoch_images or a_pass
        at, end = epoch * images, (epoch + 1) * images
        index, draws = [], []
        while at < end:
            passage, begin = divmod(at, a_pass)
            some = self._walk(seed, passage, copies)[begin : begin + end - at]
            index.append(some)
            if how is not None:
                draws.append(augment.draw(how, a_pass, seed, passage)[some])
            at += len(some)
        return torch.cat(index), torch.cat(draws) if draws else None

    def _walk(self, seed: int, passage: int, copies: int) -> Tensor:
        if copies == 1:
            return self.source.order(seed, passage)
        return torch.randperm(len(self) * copies, generator=stream(seed, "order", passage))

    def _ready(self, images: Tensor) -> Tensor:
        return self.finish(images).contiguous(memory_format=torch.channels_last)
