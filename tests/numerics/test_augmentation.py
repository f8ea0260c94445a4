"""Witnesses: hand-made images, numpy's padding and slicing, and laws of chance."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.numerics.augmentation import augment, draw, eval_transform
from pipeline.paper.augmentations import Crop, Distort, Shift
from pipeline.paper.recipes import Recipe

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
    assert [Recipe(lr=0.1, augment=how).copies for how in (None, *KINDS)] == [1, 1, 1, 2, 1, 1]
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
