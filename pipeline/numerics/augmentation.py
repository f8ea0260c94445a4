"""Training images varied, batch by batch, on the device they lie on; what is varied stands in paper/augmentations.py.

All random numbers of a pass over the data set are drawn at once, one row an image, so that an image's variation depends
on (seed, passage, its index) alone: every worker draws the whole table and takes the rows of its images.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from pipeline.numerics.random_streams import generator_for
from pipeline.paper.augmentations import Augment, Crop, Distort, Shift

PAD_MODES = {"zeros": "constant", "edge": "replicate", "reflect": "reflect"}
WINDOW = 3  # uniform numbers of Shift and Crop: mirror, top, left
AFFINE = 7  # of Distort: stretches along x and y, mirror, which of three, its angle, moves along x and y
CHANNELS = 3  # for which Distort draws four normal numbers each; fewer use the first of them
COVERED = 1 / 64  # a pixel with more of the image than this is no background: Graham's 2 gray levels of at most 128


def draw(how: Augment, images: int, seed: int, passage: int) -> Tensor:
    """The random numbers (images, K) of one pass over the data set, float32, on the CPU; row i is image i's.

    Only uniform numbers are drawn, row after row, so that a row depends on its place and not on how many follow it.
    """
    normals = 4 * CHANNELS if isinstance(how, Distort) else 0
    uniforms = AFFINE if isinstance(how, Distort) else WINDOW
    draws_NK = torch.rand(images, uniforms + normals, generator=generator_for(seed, "augment", passage))
    # torch.rand gives k / 2^24; the middle of each step, (k + 1/2) / 2^24, is never 0 or 1
    draws_NK[:, uniforms:] = torch.special.ndtri(draws_NK[:, uniforms:].double() + 2**-25).float()
    return draws_NK


def copies(how: Augment | None) -> int:
    """How often an epoch holds each image: 2 with flip="copies", where the second half comes mirrored."""
    return 2 if isinstance(how, Shift) and how.flip == "copies" else 1


def augment(images_NCHW: Tensor, how: Augment, draws_NK: Tensor, mirrored_N: Tensor | None = None) -> Tensor:
    """The images as one pass of training sees them, float32 on the scale they came in; bytes or floats in.

    `mirrored_N` (bool) says which images are mirrored where flip="copies", and is not looked at otherwise.
    """
    high, wide = images_NCHW.shape[-2:]
    draws_NK = draws_NK.to(images_NCHW.device)
    match how:
        case Shift(flip="copies") if mirrored_N is None:
            raise ValueError('flip="copies" needs mirrored_N, which says what images are mirrored')
        case Shift():
            # a translation is a window of the padded image, as in Goodfellow's code
            padded_NCHW = pad(images_NCHW.float(), [how.pixels] * 4, PAD_MODES[how.fill])
            flips = {"random": draws_NK[:, 0] < 0.5, "copies": mirrored_N, "none": None}
            return _windows(padded_NCHW, high, wide, draws_NK, flips[how.flip])
        case Crop():
            window = how.side(min(high, wide))
            return _windows(images_NCHW, window, window, draws_NK, draws_NK[:, 0] < 0.5 if how.mirror else None)
        case Distort():
            return _distorted(images_NCHW.float(), how, draws_NK)


def eval_transform(images_NCHW: Tensor, how: Augment | None) -> Tensor:
    """The images as evaluation sees them, float32: themselves, their middle, or centered in the field."""
    high, wide = images_NCHW.shape[-2:]
    match how:
        case Crop():
            window = how.side(min(high, wide))
            top, left = (high - window) // 2, (wide - window) // 2
            return images_NCHW[..., top : top + window, left : left + window].float()
        case Distort():
            margin = how.side(wide) - wide
            before = margin // 2
            return pad(images_NCHW.float(), [before, margin - before] * 2, value=how.background)
        case Shift() | None:
            return images_NCHW.float()


def _windows(images_NCHW: Tensor, high: int, wide: int, draws_NK: Tensor, mirrored_N: Tensor | None) -> Tensor:
    """One window of an image, anywhere, and mirrored after it was cut; (N, C, high, wide) float32, channels last."""
    count, _, height, width = images_NCHW.shape
    # a float32 uniform is at most 1 - 2^-24, and times a whole number always rounds to less than that number
    top_N1 = (draws_NK[:, 1:2] * (height - high + 1)).long()
    left_N1 = (draws_NK[:, 2:3] * (width - wide + 1)).long()
    rows_NH = top_N1 + torch.arange(high, device=images_NCHW.device)
    along_W = torch.arange(wide, device=images_NCHW.device)
    if mirrored_N is None:
        columns_NW = left_N1 + along_W
    else:
        columns_NW = left_N1 + torch.where(mirrored_N.to(along_W.device)[:, None], along_W.flip(0), along_W)
    image_N11 = torch.arange(count, device=images_NCHW.device)[:, None, None]
    return images_NCHW[image_N11, :, rows_NH[:, :, None], columns_NW[:, None, :]].permute(0, 3, 1, 2).float()


def _distorted(images_NCHW: Tensor, how: Distort, draws_NK: Tensor) -> Tensor:
    """Square images in the middle of the field: stretched, flipped, sheared or rotated, moved, colored; not clipped.

    The gradients are gray levels per pixel, counted from the center of the image after it was moved, as in Graham's
    colorDistortion: 2.4 is 38 levels (one standard deviation) at the edge of an image of 32 px, next to 25.5 all over.
    """
    _, channels, side, wide = images_NCHW.shape
    if side != wide:
        raise ValueError(f"only square images are distorted, not {side} x {wide}")
    field, device = how.side(side), images_NCHW.device
    x_stretch, y_stretch, mirror, which, angle, x_move, y_move = draws_NK[:, :AFFINE, None, None].unbind(1)
    x_scale = (1 + how.stretch * (2 * x_stretch - 1)) * torch.where(mirror < 0.5, -1.0, 1.0)
    y_scale = 1 + how.stretch * (2 * y_stretch - 1)
    which, angle = (which * 3).long(), how.angle * (2 * angle - 1)
    # image to field is [[cosine, x_of_y], [y_of_x, cosine]] @ diag(x_scale, y_scale); the left one's determinant is 1
    cosine = torch.where(which == 2, angle.cos(), 1.0)
    x_of_y = torch.where(which == 0, angle, torch.where(which == 2, -angle.sin(), 0.0))
    y_of_x = torch.where(which == 1, angle, torch.where(which == 2, angle.sin(), 0.0))
    # pixels from the center of the moved image
    along_F = torch.arange(field, device=device) - (field - side) // 2 - (side - 1) / 2
    x_N1F = along_F + how.pixels - (x_move * (2 * how.pixels + 1)).floor()
    y_NF1 = along_F[:, None] + how.pixels - (y_move * (2 * how.pixels + 1)).floor()
    # written out rather than by affine_grid, whose matrix product may round to TF32 and differ from batch to batch
    from_x_NFF = (cosine * x_N1F - x_of_y * y_NF1) / x_scale
    from_y_NFF = (cosine * y_NF1 - y_of_x * x_N1F) / y_scale
    grid_NFF2 = torch.stack([from_x_NFF, from_y_NFF], -1) * (2 / side)
    above_NCHW = torch.cat([images_NCHW - how.background, torch.ones_like(images_NCHW[:, :1])], 1)
    sampled_NCFF = grid_sample(above_NCHW, grid_NFF2, mode="bilinear", padding_mode="zeros", align_corners=False)
    above_NCFF, covered_N1FF = sampled_NCFF[:, :channels], sampled_NCFF[:, channels:] > COVERED
    color, contrast, x_gradient, y_gradient = draws_NK[:, AFFINE:, None, None].unflatten(1, (4, CHANNELS)).unbind(1)
    change_NCFF = how.color * color[:, :channels] + how.contrast * contrast[:, :channels] * above_NCFF
    slope_NCFF = x_gradient[:, :channels] * x_N1F[:, None] + y_gradient[:, :channels] * y_NF1[:, None]
    return how.background + above_NCFF + covered_N1FF * (change_NCFF + how.gradient * slope_NCFF)
