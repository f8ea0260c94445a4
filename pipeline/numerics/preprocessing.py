"""Global contrast normalization and ZCA whitening (section 3.1, after Goodfellow et al. 2013).

Shapes: N images of D = C * H * W values each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipeline.numerics.loader import unchanged
from pipeline.paper.augmentations import Shift
from pipeline.paper.recipes import Recipe, Scale, Whiten

CHUNK = 1000  # images processed at a time
STRIP = 384  # columns of the covariance computed at a time


@dataclass(frozen=True)
class Whitening:
    """A fitted ZCA whitening of flattened images: x -> (x - mean) @ matrix."""

    mean_D: Tensor  # float32
    matrix_DD: Tensor  # float32, symmetric

    def to(self, device: str) -> "Whitening":
        return Whitening(self.mean_D.to(device), self.matrix_DD.to(device))


def contrast_normalized(pixels_ND: Tensor, scale: float) -> Tensor:
    """Subtract each image's own mean and scale it to L2 norm `scale`: (N, D) uint8 or float -> (N, D) float32."""
    x_ND = pixels_ND.to(torch.float32)
    x_ND = x_ND - x_ND.mean(1, keepdim=True)
    norm_N1 = x_ND.norm(dim=1, keepdim=True)
    # an image of one constant value has norm 0; Goodfellow's script divides it by 1
    return x_ND * (scale / torch.where(norm_N1 < 1e-8, 1.0, norm_N1))


def fit(x_ND: Tensor, ridge: float) -> Whitening:
    """Fit ZCA whitening to flattened images (N, D) float32; computed in float64.

    The matrix is V diag((e + ridge)^-1/2) V', with the eigenvalues e and the eigenvectors V of the images' covariance.
    If N < D, at most N eigenvalues are not 0: they are found from the N x N matrix of inner products of the images,
    which is cheaper, and all other directions are scaled by ridge^-1/2.
    """
    n, d = x_ND.shape
    mean_D = sum((part.double().sum(0) for part in x_ND.split(CHUNK)), torch.zeros(d, dtype=torch.float64)) / n
    if n >= d:
        e_K, v_DK = torch.linalg.eigh(_covariance(x_ND, mean_D))
    else:
        centered_ND = x_ND.double() - mean_D
        e_K, u_NK = torch.linalg.eigh(centered_ND @ centered_ND.T / n)
        real_K = e_K > e_K[-1] * 1e-12
        e_K, u_NK = e_K[real_K], u_NK[:, real_K]
        v_DK = centered_ND.T @ u_NK / (e_K * n).sqrt()
    flat = ridge**-0.5
    matrix_DD = (v_DK * ((e_K.clamp(min=0) + ridge).rsqrt() - flat)) @ v_DK.T
    matrix_DD.diagonal().add_(flat)
    return Whitening(mean_D.float(), matrix_DD.float())


def _covariance(x_ND: Tensor, mean_D: Tensor) -> Tensor:
    """The covariance X'X / N of the centered images: (D, D) float64.

    It is summed over chunks of images, since 50,000 of them in float64 would take 1.2 GB. Only strips on and right of
    the diagonal of this symmetric matrix are computed, which halves the work.
    """
    d = len(mean_D)
    total_DD = torch.zeros(d, d, dtype=torch.float64)
    for part_ND in x_ND.split(CHUNK):
        centered_ND = part_ND.double() - mean_D
        for at in range(0, d, STRIP):
            strip_NS = centered_ND[:, at : at + STRIP]
            total_DD[at : at + STRIP, at:].addmm_(strip_NS.T, centered_ND[:, at:])
    return (total_DD.triu() + total_DD.triu(1).T) / len(x_ND)


def apply(x_ND: Tensor, whitening: Whitening) -> Tensor:
    """Whiten contrast-normalized images: (N, D) float32 -> (N, D) float32."""
    return (x_ND - whitening.mean_D) @ whitening.matrix_DD


def whiten(pixels_NCHW: Tensor, whitening: Whitening, how: Whiten) -> Tensor:
    """Contrast-normalize and whiten raw pixels: (N, C, H, W) uint8 or float -> (N, C, H, W) float32."""
    out_NCHW = torch.empty(pixels_NCHW.shape, dtype=torch.float32, device=pixels_NCHW.device)
    for pixels, out in zip(pixels_NCHW.split(CHUNK), out_NCHW.split(CHUNK), strict=True):
        x_ND = apply(contrast_normalized(pixels.flatten(1), how.gcn_scale), whitening)
        out.copy_(x_ND.mul_(how.input_scale).view_as(out))
    return out_NCHW


def fit_to(train_NCHW: Tensor, how: Whiten) -> Whitening:
    """Fit the whitening to raw pixels (N, C, H, W) of the training images, after contrast normalization."""
    pixels_ND = train_NCHW.flatten(1)
    x_ND = torch.empty(pixels_ND.shape, dtype=torch.float32)
    for pixels, out in zip(pixels_ND.split(CHUNK), x_ND.split(CHUNK), strict=True):
        out.copy_(contrast_normalized(pixels, how.gcn_scale))
    return fit(x_ND, how.zca_epsilon)


def scaled(pixels_NCHW: Tensor, how: Scale) -> Tensor:
    """Raw pixels (N, C, H, W), uint8 or float, as (value - subtract) / divide for each color; float32."""
    subtract_C11 = torch.tensor(how.subtract, device=pixels_NCHW.device)[:, None, None]
    return (pixels_NCHW.to(torch.float32) - subtract_C11) / how.divide


def last_step(recipe: Recipe, whitening: Whitening | None) -> Callable[[Tensor], Tensor]:
    """The preprocessing that follows augmentation: all of it if raw pixels are augmented, else none.

    The result maps images (N, C, H, W) to images of that shape. ValueError where it needs a whitening and gets None.
    """
    how = recipe.preprocess
    if isinstance(how, Scale):
        return partial(scaled, how=how)
    if not augments_pixels(recipe):
        return unchanged
    if whitening is None:
        raise ValueError("to whiten after augmentation, the whitening is needed")
    return partial(whiten, whitening=whitening, how=how)


def augments_pixels(recipe: Recipe) -> bool:
    """Whether augmentation works on raw pixels, rather than on whitened images."""
    if isinstance(recipe.preprocess, Scale):
        return True
    return isinstance(recipe.augment, Shift) and not recipe.augment.whitened
