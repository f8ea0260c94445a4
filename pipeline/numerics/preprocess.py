"""Global contrast normalisation and ZCA whitening (section 3.1, after Goodfellow et al. 2013)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.paper.recipes import Preprocess


@dataclass(frozen=True)
class Whitening:
    """What was fitted on the training images: x -> (x - mean) @ matrix."""

    mean_D: Tensor  # float32
    matrix_DD: Tensor  # float32, symmetric


def contrast_normalised(pixels_ND: Tensor, scale: float) -> Tensor:
    """Each image minus its own mean, brought to L2 norm `scale`; unsigned bytes or floats in, float32 out."""
    x_ND = pixels_ND.to(torch.float32)
    x_ND = x_ND - x_ND.mean(1, keepdim=True)
    norm_N1 = x_ND.norm(dim=1, keepdim=True)
    # the published script divides an image of one colour by 1 rather than by 0
    return x_ND * (scale / torch.where(norm_N1 < 1e-8, 1.0, norm_N1))


def fit(x_ND: Tensor, ridge: float) -> Whitening:
    """ZCA of N flattened images: V diag((e + ridge)^-1/2) V' for the eigenvalues e of their covariance, in float64.

    With fewer images than values the covariance has at most N eigenvalues that are not 0, so the N x N products of
    the images are decomposed instead; every other direction is scaled by ridge^-1/2.
    """
    n, d = x_ND.shape
    mean_D = x_ND.double().mean(0)
    centred_ND = x_ND.double() - mean_D
    if n >= d:
        e_K, v_DK = torch.linalg.eigh(centred_ND.T @ centred_ND / n)
    else:
        e_K, u_NK = torch.linalg.eigh(centred_ND @ centred_ND.T / n)
        real_K = e_K > e_K[-1] * 1e-12
        e_K, u_NK = e_K[real_K], u_NK[:, real_K]
        v_DK = centred_ND.T @ u_NK / (e_K * n).sqrt()
    flat = ridge**-0.5
    matrix_DD = (v_DK * ((e_K.clamp(min=0) + ridge).rsqrt() - flat)) @ v_DK.T
    matrix_DD.diagonal().add_(flat)
    return Whitening(mean_D.float(), matrix_DD.float())


def apply(x_ND: Tensor, whitening: Whitening) -> Tensor:
    """The images whitened: (N, D) -> (N, D)."""
    return (x_ND - whitening.mean_D) @ whitening.matrix_DD


def prepare(train_NCHW: Tensor, test_NCHW: Tensor, how: Preprocess) -> tuple[Tensor, Tensor, Whitening]:
    """Both parts preprocessed, with what was fitted on the training part alone; float32 (N, C, H, W)."""
    train_ND = contrast_normalised(train_NCHW.flatten(1), how.gcn_scale)
    whitening = fit(train_ND, how.zca_ridge)
    test_ND = contrast_normalised(test_NCHW.flatten(1), how.gcn_scale)
    train_ND, test_ND = (apply(x, whitening) * how.input_scale for x in (train_ND, test_ND))
    return train_ND.view(train_NCHW.shape), test_ND.view(test_NCHW.shape), whitening
