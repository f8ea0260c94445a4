"""A data set on the device, and the order in which an epoch walks through it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.numerics.streams import stream


@dataclass(frozen=True)
class Images:
    """Preprocessed images (N, C, H, W) float32 with their classes (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> "Images":
        return Images(self.images.to(device, memory_format=torch.channels_last), self.labels.to(device))


def shuffled(data: Images, batch: int, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of an epoch in an order that (seed, epoch) decides; the last may be smaller."""
    order = torch.randperm(len(data), generator=stream(seed, "order", epoch)).to(data.labels.device)
    for index in order.split(batch):
        yield data.images[index], data.labels[index]


def in_order(data: Images, batch: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as they lie."""
    yield from zip(data.images.split(batch), data.labels.split(batch), strict=True)
