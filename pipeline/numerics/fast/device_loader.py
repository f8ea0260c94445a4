"""Batches for the fast loop. Images in memory are padded once on the device; one indexed copy shifts and mirrors them.

This covers shifts of preprocessed images and no augmentation. For everything else, `Loader` makes the batches.

Shapes: N images in the data set, E positions in an epoch, B in a batch, Q pixels of all padded images, P pixels of a
window, F = 2 for unmirrored and mirrored.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.numerics.augmentation import PAD_MODES
from pipeline.numerics.loader import Batch, EpochPlan, Images, Loader, unchanged
from pipeline.paper.augmentations import Shift


@dataclass(frozen=True)
class Padded:
    """All images with a margin on every side, as one table with a row of channels for each pixel."""

    pixels_QC: Tensor
    labels_N: Tensor  # int64
    margin: int  # pixels
    high: int  # pixels, without the margin
    wide: int

    @property
    def stride(self) -> int:
        """Pixels per row of a padded image."""
        return self.wide + 2 * self.margin

    @property
    def each(self) -> int:
        """Pixels per padded image."""
        return (self.high + 2 * self.margin) * self.stride


@dataclass(frozen=True)
class Tables:
    """The order and the augmentation of an epoch, on the device."""

    start_E: Tensor  # row of `Padded.pixels_QC` at which the window begins
    mirrored_E: Tensor | None  # int64, 1: mirrored; None: no image is
    image_E: Tensor  # index of the image


class DeviceLoader:
    """Batches of images (B, `channels`, H, W) in `dtype` on `device`, epoch by epoch.

    If `channels` is more than the images have, the further ones are zero.
    """

    def __init__(self, loader: Loader, device: str, dtype: torch.dtype, channels: int = 3):
        self.loader, self.device, self.dtype, self.channels = loader, device, dtype, channels
        self.padded = _padded(loader, device, dtype, channels)
        self.plan: EpochPlan | None = None

    def begin(self, plan: EpochPlan) -> None:
        """Copy the order and the random numbers of an epoch to the device."""
        self.plan = plan
        if self.padded is not None:
            self.tables = _tables(self.padded, plan, len(self.loader), self.device)
            self.offsets_FP = _offsets(self.padded).to(self.device)

    def batch(self, places: slice | Tensor) -> Batch:
        """Images (B, C, H, W), channels_last, and labels (B,) at these positions of the epoch; after `begin`."""
        assert self.plan is not None
        if self.padded is None:
            if isinstance(places, slice):
                places = torch.arange(*places.indices(len(self.plan)))
            images, labels = self.loader.batch_at(self.plan, places)
            images = _widened(images.to(self.device, self.dtype), self.channels)
            return images.contiguous(memory_format=torch.channels_last), labels.to(self.device)
        tables, padded = self.tables, self.padded
        start_B = tables.start_E[places, None]
        offsets = self.offsets_FP[0] if tables.mirrored_E is None else self.offsets_FP[tables.mirrored_E[places]]
        if padded.margin == 0 and tables.mirrored_E is None:  # whole images: one row each
            images = padded.pixels_QC.view(-1, padded.each * self.channels)[tables.image_E[places]]
        else:
            images = padded.pixels_QC.index_select(0, (start_B + offsets).view(-1))
        images = images.view(-1, padded.high, padded.wide, self.channels).permute(0, 3, 1, 2)
        return images, padded.labels_N[tables.image_E[places]]


def _padded(loader: Loader, device: str, dtype: torch.dtype, channels: int) -> Padded | None:
    how = loader.recipe.augment
    if not isinstance(loader.source, Images) or loader.finish is not unchanged:
        return None
    if how is None:
        return _laid_out(loader.source, 0, "zeros", device, dtype, channels)
    if isinstance(how, Shift):
        return _laid_out(loader.source, how.pixels, how.fill, device, dtype, channels)
    return None


@lru_cache(maxsize=2)  # shared by experiments that are trained together or one after the other
def _laid_out(source: Images, margin: int, fill: str, device: str, dtype: torch.dtype, channels: int) -> Padded:
    """Pad 2,000 images at a time: all at once, the padded float32 images would be in memory twice."""
    high, wide = source.images.shape[-2:]
    shape = (len(source), high + 2 * margin, wide + 2 * margin, channels)
    out_NHWC = torch.zeros(shape, dtype=dtype, device=device)
    for images, out in zip(source.images.split(2000), out_NHWC.split(2000), strict=True):
        ringed = pad(images.to(device).float(), [margin] * 4, PAD_MODES[fill]) if margin else images.to(device)
        out[..., : images.shape[1]] = ringed.permute(0, 2, 3, 1)
    return Padded(out_NHWC.view(-1, channels), source.labels.to(device), margin, high, wide)


def _tables(padded: Padded, plan: EpochPlan, images: int, device: str) -> Tables:
    image_E = plan.index_E % images
    how, span = plan.how, 2 * padded.margin + 1
    top = left = torch.full_like(image_E, padded.margin)
    mirrored = None
    if isinstance(how, Shift) and plan.draws_EK is not None:
        # as in augmentation._windows: a float32 uniform number times an integer n always rounds to less than n
        top, left = (plan.draws_EK[:, 1] * span).long(), (plan.draws_EK[:, 2] * span).long()
        flips = {"random": plan.draws_EK[:, 0] < 0.5, "copies": plan.index_E >= images, "none": None}
        mirrored = flips[how.flip]
    start_E = image_E * padded.each + top * padded.stride + left
    return Tables(start_E.to(device), None if mirrored is None else mirrored.long().to(device), image_E.to(device))


def _offsets(padded: Padded) -> Tensor:
    """Distances of a window's pixels from its first, in rows of `pixels_QC`: unmirrored and mirrored; (F, P)."""
    rows_H1, along_W = torch.arange(padded.high)[:, None] * padded.stride, torch.arange(padded.wide)
    return torch.stack([(rows_H1 + along_W).view(-1), (rows_H1 + along_W.flip(0)).view(-1)])


def _widened(images_NCHW: Tensor, channels: int) -> Tensor:
    more = channels - images_NCHW.shape[1]
    return pad(images_NCHW, [0, 0, 0, 0, 0, more]) if more > 0 else images_NCHW
