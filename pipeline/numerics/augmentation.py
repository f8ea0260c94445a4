"""Random augmentation of batches of training images, on their device. The settings are in paper/augmentations.py.

The random numbers of a whole pass over the data set are drawn at once, one row per image. The augmentation of an image
therefore depends only on (seed, number of the pass, index of the image): every worker draws the whole table and uses
the rows of its own images.

Shapes: N images, C channels, H x W pixels, K random numbers per image, F x F pixels of the field of `Distort`.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from pipeline.numerics.random_streams import generator_for
from pipeline.paper.augmentations import Augment, Crop, Distort, Shift

PAD_MODES = {"zeros": "constant", "edge": "replicate", "reflect": "reflect"}
WINDOW = 3  # uniform numbers that Shift and Crop use: mirror, top, left
AFFINE = 7  # uniform numbers that Distort uses: x and y stretch, mirror, shear x or y or rotation, angle, x and y move
CHANNELS = 3  # Distort draws four normal numbers for each; images with fewer channels use the first ones
# a pixel of the field is recolored where the image covers more of it than this: 2 of 128 gray levels in Graham's code
COVERED = 1 / 64


def draw(how: Augment, images: int, seed: int, passage: int) -> Tensor:
    """Draw the random numbers of pass number `passage` over the data set: (images, K) float32, on the CPU.

    Row i is for image i. K is 3 for Shift and Crop, uniform in [0, 1), and 19 for Distort: 7 uniform and 12 standard
    normal numbers. The normal ones are computed from uniform ones, so that a row does not depend on how many follow.
    """
    normals = 4 * CHANNELS if isinstance(how, Distort) else 0
    uniforms = AFFINE if isinstance(how, Distort) else WINDOW
    draws_NK = torch.rand(images, uniforms + normals, generator=generator_for(seed, "augment", passage))
    # torch.rand gives k / 2^24; adding half a step avoids 0, where the inverse normal distribution is infinite
    draws_NK[:, uniforms:] = torch.special.ndtri(draws_NK[:, uniforms:].double() + 2**-25).float()
    return draws_NK


def augment(images_NCHW: Tensor, how: Augment, draws_NK: Tensor, mirrored_N: Tensor | None = None) -> Tensor:
    """Augment images (N, C, H, W), uint8 or float32; returns float32 on the same scale.

    `draws_NK` are the rows of `draw` for these images. The output is (N, C, H, W) with Shift, and square with the side
    `how.side` with Crop and Distort. `mirrored_N` (bool) marks the images to mirror where flip="copies" and is ignored
    otherwise. ValueError where flip="copies" and it is None, and where Distort gets images that are not square.
    """
    high, wide = images_NCHW.shape[-2:]
    draws_NK = draws_NK.to(images_NCHW.device)
    match how:
        case Shift(flip="copies") if mirrored_N is None:
            raise ValueError('flip="copies" needs mirrored_N, which says what images are mirrored')
        case Shift():
            # a translation is a random window of the padded image, as in Goodfellow's code
            padded_NCHW = pad(images_NCHW.float(), [how.pixels] * 4, PAD_MODES[how.fill])
            flips = {"random": draws_NK[:, 0] < 0.5, "copies": mirrored_N, "none": None}
            return _windows(padded_NCHW, high, wide, draws_NK, flips[how.flip])
        case Crop():
            window = how.side(min(high, wide))
            return _windows(images_NCHW, window, window, draws_NK, draws_NK[:, 0] < 0.5 if how.mirror else None)
        case Distort():
            return _distorted(images_NCHW.float(), how, draws_NK)


def eval_transform(images_NCHW: Tensor, how: Augment | None) -> Tensor:
    """Images (N, C, H, W) as they are evaluated, float32, without randomness.

    Unchanged with Shift or None, cropped to the center window with Crop, in the middle of a gray field with Distort.
    """
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
    """Cut a random window from each image, then mirror it: (N, C, high, wide) float32, channels_last."""
    count, _, height, width = images_NCHW.shape
    # a float32 uniform number is at most 1 - 2^-24; its product with an integer n always rounds to less than n
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
    """Stretch, flip, shear or rotate, move and recolor square images in the middle of a field; values are not clipped.

    The color gradients are gray levels per pixel of distance from the center of the moved image, as in Graham's
    colorDistortion: a standard deviation of 2.4 is 38 levels at the edge of an image of 32 px (`color` alone: 25.5).
    """
    _, channels, side, wide = images_NCHW.shape
    if side != wide:
        raise ValueError(f"only square images are distorted, not {side} x {wide}")
    field, device = how.side(side), images_NCHW.device
    x_stretch, y_stretch, mirror, which, angle, x_move, y_move = draws_NK[:, :AFFINE, None, None].unbind(1)
    x_scale = (1 + how.stretch * (2 * x_stretch - 1)) * torch.where(mirror < 0.5, -1.0, 1.0)
    y_scale = 1 + how.stretch * (2 * y_stretch - 1)
    which, angle = (which * 3).long(), how.angle * (2 * angle - 1)
    # image to field is [[cosine, x_of_y], [y_of_x, cosine]] @ diag(x_scale, y_scale); the first has determinant 1
    cosine = torch.where(which == 2, angle.cos(), 1.0)
    x_of_y = torch.where(which == 0, angle, torch.where(which == 2, -angle.sin(), 0.0))
    y_of_x = torch.where(which == 1, angle, torch.where(which == 2, angle.sin(), 0.0))
    # distances in pixels from the center of the moved image
    along_F = torch.arange(field, device=device) - (field - side) // 2 - (side - 1) / 2
    x_N1F = along_F + how.pixels - (x_move * (2 * how.pixels + 1)).floor()
    y_NF1 = along_F[:, None] + how.pixels - (y_move * (2 * how.pixels + 1)).floor()
    # not affine_grid: its matrix product may round to TF32, and differ with the size of the batch
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
