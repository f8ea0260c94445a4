"""Witnesses: hand-made images, numpy's padding and slicing, scipy's affine transform, and laws of chance."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from pipeline.numerics.augmentation import augment, copies, draw, eval_transform
from pipeline.paper.augmentations import Crop, Distort, Shift

STILL = Distort(field=64, stretch=0, angle=0, pixels=0, color=0, contrast=0, gradient=0)
KINDS = [
    Shift(pixels=2),
    Shift(pixels=2, fill="edge", flip="none"),
    Shift(pixels=2, fill="reflect", flip="copies"),
    Crop(window=10),
    Distort(field=40, pixels=4),
]


def images(n, side=16, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8))


def mirror_for(n):
    return torch.arange(n) % 3 == 0


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


BY_HAND = {
    # the window of a 4 x 4 image in a border of 2 that begins in row 0, column 3: two rows down, one column left
    "zeros": [[0, 0, 0, 0], [0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0]],
    "edge": [[2, 3, 4, 4], [2, 3, 4, 4], [2, 3, 4, 4], [6, 7, 8, 8]],
    "reflect": [[10, 11, 12, 11], [6, 7, 8, 7], [2, 3, 4, 3], [6, 7, 8, 7]],
}


@pytest.mark.parametrize("fill", BY_HAND)
def test_a_shift_by_hand(fill):
    image = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4)
    hand = torch.tensor(BY_HAND[fill], dtype=torch.float32)
    straight, mirrored = torch.tensor([[0.5, 0.0, 0.7]]), torch.tensor([[0.49, 0.0, 0.7]])
    how = Shift(pixels=2, fill=fill)
    assert torch.equal(augment(image, how, straight)[0, 0], hand)
    assert torch.equal(augment(image, how, mirrored)[0, 0], hand.flip(1))
    assert torch.equal(augment(image, replace(how, flip="none"), mirrored)[0, 0], hand)
    # with copies the caller says which, not the draws
    again = augment(image.expand(2, 1, 4, 4), replace(how, flip="copies"), mirrored.expand(2, 3), torch.arange(2) >= 1)
    assert torch.equal(again[:, 0], torch.stack([hand, hand.flip(1)]))


def test_copies_double_the_epoch_and_must_be_told_apart():
    assert [copies(how) for how in (None, *KINDS)] == [1, 1, 1, 2, 1, 1]
    with pytest.raises(ValueError, match="mirrored_N"):
        augment(images(2), Shift(flip="copies"), torch.rand(2, 3))


def windows(padded, side, mirror):
    """Every outcome that numpy finds, as bytes."""
    places = range(padded.shape[1] - side + 1)
    cut = [padded[:, top : top + side, left : left + side] for top in places for left in places]
    return [np.ascontiguousarray(c).tobytes() for c in cut + [c[..., ::-1] for c in cut if mirror]]


@pytest.mark.parametrize(
    ("how", "numpys"),
    [
        (Shift(), lambda x: windows(np.pad(x, [(0, 0), (5, 5), (5, 5)]), 12, mirror=True)),
        (Shift(fill="edge"), lambda x: windows(np.pad(x, [(0, 0), (5, 5), (5, 5)], "edge"), 12, mirror=True)),
        (
            Shift(fill="reflect", flip="none"),
            lambda x: windows(np.pad(x, [(0, 0), (5, 5), (5, 5)], "reflect"), 12, False),
        ),
        (Crop(window=5), lambda x: windows(x, 5, mirror=True)),
        (Crop(window=9, mirror=False), lambda x: windows(x, 9, mirror=False)),
    ],
    ids=["zeros", "edge", "reflect, no flips", "crop", "crop, no mirror"],
)
def test_all_outcomes_are_numpys_and_as_likely(how, numpys):
    image = images(1, side=12)
    outcomes = numpys(image[0].float().numpy())
    assert len(set(outcomes)) == len(outcomes)
    n = 100 * len(outcomes)
    out = augment(image.expand(n, -1, -1, -1), how, draw(how, n, seed=0, passage=0)).contiguous().numpy()
    seen = Counter(o.tobytes() for o in out)
    assert seen.keys() == set(outcomes)
    chi_square = sum((seen[o] - 100) ** 2 / 100 for o in outcomes)
    freedom = len(outcomes) - 1
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("how", KINDS, ids=repr)
def test_two_workers_see_the_images_that_one_sees(how):
    x, mirrored, table = images(31), mirror_for(31), draw(how, 31, seed=3, passage=7)
    whole = augment(x, how, table, mirrored)
    joined = torch.empty_like(whole)
    for worker in range(2):
        joined[worker::2] = augment(x[worker::2], how, table[worker::2], mirrored[worker::2])
    assert torch.equal(joined, whole)
    assert whole.dtype == torch.float32
    assert whole.shape[-1] == how.side(16)


@pytest.mark.parametrize("how", KINDS, ids=repr)
def test_bytes_and_floats_agree(how):
    x, table = images(20), draw(how, 20, seed=0, passage=0)
    assert torch.equal(augment(x, how, table, mirror_for(20)), augment(x.float(), how, table, mirror_for(20)))
    assert torch.equal(eval_transform(x, how), eval_transform(x.float(), how))
    assert eval_transform(x, how).dtype == torch.float32


@pytest.mark.parametrize("how", [Shift(), Crop(), Distort()], ids=lambda how: type(how).__name__)
def test_a_row_of_draws_depends_on_seed_passage_and_place(how):
    table = draw(how, 103, seed=1, passage=2)
    assert table.dtype == torch.float32
    for n in (1, 16, 40, 102):  # not on the number of images
        assert torch.equal(draw(how, n, seed=1, passage=2), table[:n])
    for other in (draw(how, 103, seed=1, passage=3), draw(how, 103, seed=2, passage=2)):
        assert not (other == table).all(1).any()
    assert len(table.unique(dim=0)) == 103


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


@pytest.mark.parametrize("extreme", [0.0, 1 - 2**-24], ids=["smallest", "largest"])
def test_the_extremes_of_torch_rand_are_harmless(extreme, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: torch.full(shape, extreme))
    row = draw(Distort(), 1, seed=0, passage=0)[0]
    assert row[7:].abs().max() < 6  # not infinite
    for count in range(1, 300):  # the last window, not the one behind it
        line = torch.arange(count, dtype=torch.float32).expand(1, 1, count, count)
        how = Crop(window=1)
        assert augment(line, how, draw(how, 1, seed=0, passage=0)).item() == (count - 1 if extreme else 0)


def test_what_evaluation_sees_is_numpys():
    x = images(3, side=13)
    numbers = x.numpy()
    assert np.array_equal(eval_transform(x, None), numbers)
    assert np.array_equal(eval_transform(x, Shift()), numbers)
    assert np.array_equal(eval_transform(x, Crop(window=8)), numbers[:, :, 2:10, 2:10])
    assert np.array_equal(
        eval_transform(x, replace(STILL, background=7.5))[1], centered(numbers[1], replace(STILL, background=7.5))
    )


def test_what_does_not_fit_is_refused():
    for how in (Crop(window=17), Distort(field=15)):
        table = draw(how, 2, seed=0, passage=0)
        for see in (lambda x, how=how, table=table: augment(x, how, table), lambda x, how=how: eval_transform(x, how)):
            with pytest.raises(ValueError, match="16 px"):
                see(images(2))
    with pytest.raises(ValueError, match="square"):
        augment(images(2)[:, :, :9], STILL, draw(STILL, 2, seed=0, passage=0))


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
