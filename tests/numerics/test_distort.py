"""Graham's distortions. Witnesses: scipy's affine transform, formulas by hand, laws of chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from pipeline.numerics.augmentation import augment, draw, eval_transform
from pipeline.paper.augmentations import Distort

STILL = Distort(field=64, stretch=0, angle=0, pixels=0, color=0, contrast=0, gradient=0)


def images(n, side=16, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8))


def centered(image, how):
    """The image (C, H, W) in the middle of its field, by numpy."""
    before = (how.field - image.shape[-1]) // 2
    canvas = np.full((len(image), how.field, how.field), how.background)
    canvas[:, before : before + image.shape[-2], before : before + image.shape[-1]] = image
    return canvas


def decoded(row, how):
    """What the columns of a row mean: the affine map from image to field on (x, y), the translation, the normals."""
    u = row[:7].double().numpy()
    stretch = np.diag(1 + how.stretch * (2 * u[:2] - 1))
    flip = np.diag([-1.0 if u[2] < 0.5 else 1.0, 1.0])
    a = how.angle * (2 * u[4] - 1)
    last = [[[1, a], [0, 1]], [[1, 0], [a, 1]], [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]][int(u[3] * 3)]
    moves = np.floor(u[5:7] * (2 * how.pixels + 1)) - how.pixels
    return np.array(last) @ flip @ stretch, moves, row[7:].double().numpy().reshape(4, 3)


def scipys(canvas, row, how, background):
    """A canvas (field, field), mapped around its image's middle; scipy asks where in it each new pixel comes from."""
    matrix, moves, _ = decoded(row, how)
    back = np.linalg.inv(matrix)[::-1, ::-1]  # (x, y) to (row, column)
    middle = np.full(2, (how.field - 1) / 2)
    offset = middle - back @ (middle + moves[::-1])
    return affine_transform(canvas, back, offset, order=1, cval=background)


def test_the_columns_of_distort_are_uniform_and_normal():
    table = draw(Distort(), 40_000, seed=0, passage=0).double()
    uniform, normal = table[:, :7], table[:, 7:]
    assert uniform.min() >= 0
    assert uniform.max() < 1
    steps = torch.stack([column.histc(20, 0, 1) for column in uniform.T])
    assert (steps - 2000).abs().max() < 5 * 2000**0.5
    torch.testing.assert_close(normal.mean(0), torch.zeros(12, dtype=torch.float64), atol=0.025, rtol=0)
    torch.testing.assert_close(normal.T.cov(), torch.eye(12, dtype=torch.float64), atol=0.04, rtol=0)
    torch.testing.assert_close((normal**4).mean(0), torch.full((12,), 3.0, dtype=torch.float64), atol=0.3, rtol=0)


@pytest.mark.parametrize("side", [32, 15], ids=["even margins", "odd margins"])
def test_without_distortion_an_image_is_seen_as_in_evaluation_or_mirrored(side):
    x, table = images(20, side), draw(STILL, 20, seed=0, passage=0)
    mirrored = table[:, 2] < 0.5
    assert 0 < mirrored.sum() < 20
    expected = eval_transform(torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x), STILL)
    torch.testing.assert_close(augment(x, STILL, table), expected, atol=1e-3, rtol=0)


def test_distortion_is_scipys():
    how = replace(STILL, stretch=0.2, angle=0.2, pixels=9)
    x, table = images(60, side=20), draw(how, 60, seed=0, passage=0)
    out = augment(x, how, table)
    assert {int(row[3] * 3) for row in table} == {0, 1, 2}
    for image, row, ours in zip(x.numpy(), table, out, strict=True):
        theirs = [scipys(canvas, row, how, how.background) for canvas in centered(image, how)]
        # 5e-3: a gray level's hundredth, where neighbors differ by up to 255
        np.testing.assert_allclose(ours, theirs, atol=5e-3, rtol=0)


def test_a_stretch_enlarges_and_a_translation_moves_right_and_down():
    how = replace(STILL, stretch=0.5, pixels=8)
    image = torch.zeros(1, 1, 16, 16)
    row = torch.zeros(1, 19)
    # 1.25 times as wide, not mirrored, 0.75 times as high; 8 to the right, 4 down
    row[0, :7] = torch.tensor([0.75, 0.25, 0.9, 0.0, 0.5, 0.999, 0.75])
    inside = (augment(image, how, row)[0, 0] < 64).nonzero()
    # black on gray, 20 wide and 12 high, centered at (31.5 + 8, 31.5 + 4)
    assert inside.min(0).values.tolist() == [30, 30]
    assert inside.max(0).values.tolist() == [41, 49]


@pytest.mark.parametrize("side", [32, 30, 17])
def test_color_follows_the_image_to_the_pixel_and_leaves_the_background_alone(side):
    how = replace(STILL, pixels=16, color=25.5)
    table = draw(how, 40, seed=0, passage=0)
    # an image of the background's color is seen by its new color alone
    out = augment(torch.full((40, 3, side, side), how.background), how, table).numpy()
    for row, ours in zip(table, out, strict=True):
        _, (x, y), normals = decoded(row, how)
        flat = centered(np.ones((3, side, side)) * (how.background + 25.5 * normals[0])[:, None, None], how)
        np.testing.assert_allclose(ours, np.roll(flat, (int(y), int(x)), (1, 2)), atol=1e-3, rtol=0)


def test_color_is_the_sum_of_its_four_terms():
    still = replace(STILL, stretch=0.2, angle=0.2, pixels=9)
    how = replace(still, color=25.5, contrast=0.15, gradient=2.4)
    x, table = images(30, side=20), draw(how, 30, seed=5, passage=0)
    before, after = augment(x, still, table).double().numpy(), augment(x, how, table).double().numpy()
    y, x_ = np.mgrid[:64, :64] - 31.5
    for row, gray, ours in zip(table, before, after, strict=True):
        _, moves, normals = decoded(row, how)
        level, contrast, across, down = normals[:, :, None, None]
        change = (
            25.5 * level + 0.15 * contrast * (gray - 128) + 2.4 * (across * (x_ - moves[0]) + down * (y - moves[1]))
        )
        covered = scipys(centered(np.ones((1, 20, 20)), replace(how, background=0.0))[0], row, how, 0.0)
        image, background = covered > 0.02, covered < 0.01
        assert image.sum() > 200
        np.testing.assert_allclose((ours - gray)[:, image], change[:, image], atol=1e-3, rtol=0)
        assert not (ours - gray)[:, background].any()
        assert (ours[:, background & (covered == 0)] == 128).all()


def test_values_are_not_clipped():
    how = Distort(field=40)
    x = torch.cat([torch.zeros(20, 3, 16, 16), torch.full((20, 3, 16, 16), 255.0)])
    out = augment(x, how, draw(how, 40, seed=0, passage=0))
    assert out.min() < -10
    assert out.max() > 265
