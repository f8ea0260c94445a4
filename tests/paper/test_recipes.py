"""Witness: the schedule as section 3.1 states it."""

from math import inf, nan

import pytest

from pipeline.paper.recipes import CIFAR, Recipe, Scale, Whiten


def test_the_learning_rate_falls_tenfold_after_200_250_and_300_of_350_epochs():
    assert CIFAR.epochs == 350
    rates = [CIFAR.lr_at(epoch) for epoch in (0, 199, 200, 249, 250, 299, 300, 349)]
    assert rates == pytest.approx([0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0),
        ("epochs", 0),
        ("batch", 0),
        ("momentum", 1.0),
        ("weight_decay", -1),
        ("initialization", "glorious"),
        *(
            (name, value)
            for name in ("lr", "momentum", "weight_decay", "lr_decay", "score_bias")
            for value in (inf, nan)
        ),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_when_it_is_made(field, value):
    with pytest.raises(ValueError, match=str(value)):
        Recipe(**{"lr": 0.1, field: value})


@pytest.mark.parametrize("drops", [(250, 200, 300), (200, 200), (200, 350), (-1, 200)])
def test_drops_must_rise_and_come_before_the_end(drops):
    with pytest.raises(ValueError, match="lr_drops"):
        Recipe(lr=0.1, lr_drops=drops)


def test_drops_may_be_a_list_and_images_are_counted():
    assert hash(Recipe(lr=0.1, lr_drops=[200, 300])) == hash(Recipe(lr=0.1, lr_drops=(200, 300)))
    for images in (0, 2.5):
        with pytest.raises(ValueError, match="epoch_images"):
            Recipe(lr=0.1, epoch_images=images)


def test_preprocessing_wants_positive_numbers():
    for number in (0, inf, nan):
        with pytest.raises(ValueError, match="zca_epsilon"):
            Whiten(zca_epsilon=number)
        with pytest.raises(ValueError, match="divide"):
            Scale(divide=number)
    with pytest.raises(ValueError, match="subtract"):
        Scale(subtract=(0.0, nan, 0.0))
