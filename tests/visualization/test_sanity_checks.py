"""How alike two maps are. Witnesses: scipy and scikit-image."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from pipeline.visualization import sanity_checks
from pipeline.visualization.png import around_gray


def test_likeness_is_scipys_and_scikit_images():
    draw = torch.Generator().manual_seed(0)
    one, two = torch.randn(4, 3, 16, 16, generator=draw), torch.randn(4, 3, 16, 16, generator=draw)
    two[:2] += one[:2]
    two[3] = 0  # blank: left out
    found = sanity_checks.map_similarity("guided", "conv1", sanity_checks.views(one), sanity_checks.views(two))
    rho = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one[:3].numpy(), two[:3].numpy(), strict=True)]
    sizes = [
        spearmanr(np.abs(a).ravel(), np.abs(b).ravel()).statistic
        for a, b in zip(one[:3].numpy(), two[:3].numpy(), strict=True)
    ]
    ssim = [
        structural_similarity(a, b, data_range=1.0, channel_axis=0)
        for a, b in zip(around_gray(one[:3]).numpy(), around_gray(two[:3]).numpy(), strict=True)
    ]
    expected = [np.mean(values) for values in (rho, sizes, ssim)]
    assert [found.spearman, found.spearman_abs, found.ssim] == pytest.approx(expected, abs=1e-4)
    assert found.blank == 1
    same = sanity_checks.map_similarity("guided", "conv1", sanity_checks.views(one), sanity_checks.views(one))
    assert (same.spearman, same.spearman_abs, same.ssim) == (1, 1, 1)
    nothing = sanity_checks.map_similarity(
        "guided", "conv1", sanity_checks.views(one), sanity_checks.views(torch.zeros_like(one))
    )
    assert (nothing.spearman, nothing.blank) == (None, 4)


@pytest.mark.parametrize("side", [2, 3, 6, 7])
def test_images_of_few_pixels_are_compared_too(side):
    one = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = sanity_checks.map_similarity("guided", "conv1", sanity_checks.views(one), sanity_checks.views(one))
    assert (found.ssim, found.blank) == (1, 0)
