"""Witnesses: numpy's linear algebra in float64, and what whitening means."""

import numpy as np
import pytest
import torch

from pipeline.numerics.preprocessing import apply, contrast_normalized, fit, fit_to, whiten
from pipeline.paper.recipes import Whiten


def images(n, seed=0, side=6):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8))


def test_contrast_normalization_by_hand():
    # mean 2, differences (-2, 0, 1, 1), norm sqrt(6)
    out = contrast_normalized(torch.tensor([[0, 2, 3, 3]], dtype=torch.uint8), 55.0)
    torch.testing.assert_close(out, torch.tensor([[-2.0, 0, 1, 1]]) * 55 / 6**0.5)


def test_every_image_has_mean_0_and_norm_55_but_one_of_a_single_color():
    x = images(20).flatten(1)
    x[0] = 77
    out = contrast_normalized(x, 55.0)
    assert out[0].abs().max() == 0
    torch.testing.assert_close(out[1:].norm(dim=1), torch.full((19,), 55.0))
    torch.testing.assert_close(out.mean(1), torch.zeros(20), atol=1e-5, rtol=0)


@pytest.mark.parametrize("n", [40, 108, 400], ids=["fewer images than values", "as many", "more"])
def test_zca_is_numpys(n):
    x = contrast_normalized(images(n).flatten(1), 55.0)
    ours = fit(x, 0.1)
    x64 = x.double().numpy()
    centered = x64 - x64.mean(0)
    values, vectors = np.linalg.eigh(centered.T @ centered / n + 0.1 * np.eye(108))
    matrix = vectors @ np.diag(values**-0.5) @ vectors.T
    torch.testing.assert_close(ours.matrix_DD, torch.from_numpy(matrix).float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(apply(x, ours), torch.from_numpy(centered @ matrix).float(), rtol=1e-4, atol=1e-4)


def test_whitened_images_are_uncorrelated():
    x = contrast_normalized(images(2000).flatten(1), 55.0)
    white = apply(x, fit(x, 1e-6)).double()
    covariance = white.T @ white / len(white)
    # contrast normalization took one direction away; all others have variance 1
    values = torch.linalg.eigvalsh(covariance)
    torch.testing.assert_close(values[2:], torch.ones(106, dtype=torch.float64), atol=1e-2, rtol=0)


def test_the_test_images_have_no_say_in_the_whitening():
    train, how = images(50), Whiten()
    whitening = fit_to(train, how)
    x64 = contrast_normalized(train.flatten(1), 55.0).double()
    torch.testing.assert_close(whitening.mean_D, x64.mean(0).float())
    alone, among = images(1, 1), torch.cat([images(1, 1), images(9, 2)])
    # what becomes of an image depends on no other that is whitened with it; matrix products round by their shape
    torch.testing.assert_close(whiten(among, whitening, how)[:1], whiten(alone, whitening, how), rtol=0, atol=1e-4)


def test_input_scale_multiplies_the_whitened_image():
    whitening = fit_to(images(50), Whiten())
    plain, large = (whiten(images(5, 1), whitening, Whiten(input_scale=scale)) for scale in (1.0, 7.0))
    torch.testing.assert_close(large, plain * 7)
