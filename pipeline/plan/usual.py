"""What each data set is usually trained with: the paper's recipe, or ours where the paper never saw the data."""

import math
from dataclasses import replace
from fractions import Fraction

from pipeline.errors import UserError
from pipeline.paper.networks import Network, for_classes, narrow, with_dropout
from pipeline.paper.recipes import CIFAR, CIFAR_AUGMENTED, IMAGENET, Recipe, Scale, Whiten
from pipeline.paper.shapes import steps
from pipeline.plan.datasets import Dataset

COLORS = 3  # channels of every data set's images: red, green, blue
LARGEST_WHITENED = 64  # pixels: the matrix of larger images has more than 12,288 rows and columns


# The digits study's own choices; the README says how they were found. The paper's values stay in paper/recipes.py.
DIGITS_WIDTH = 12  # the paper's widths divided by this: 8 and 16 channels
DIGITS_DROPOUT = 0.05  # after each pooling or what replaces it; none on the image
DIGITS = Recipe(
    lr=0.004,
    epochs=10,
    lr_drops=(7, 9),
    batch=8,
    initialization="data-dependent",
    # an enlarged digit fills 64 of 3,072 directions: full whitening would lift the empty ones and hide the strokes, so
    # the images are small against the ridge and scaled up to a deviation of 1 afterwards
    preprocess=Whiten(gcn_scale=0.5, input_scale=50.0),
)

# The cifar-smoke study's own choices: those of digits, but for the width, and whitening as the paper's
SMOKE_WIDTH = 6
CIFAR_SMOKE = replace(DIGITS, epochs=12, lr_drops=(9, 11), preprocess=Whiten())


def small(network: Network, width: int | Fraction, pooled: float) -> Network:
    """A narrow network with little dropout."""
    thin = narrow(network, width)
    return replace(thin, layers=with_dropout(thin.layers, image=0, pooled=pooled))


def usual_recipe(dataset: Dataset, augmented: bool = False) -> Recipe:
    """The recipe that the data set's studies have; for your own data CIFAR's, and plain scaling of large images."""
    recipe = {"digits": DIGITS, "cifar10-2000": CIFAR_SMOKE, "imagenet": IMAGENET}.get(dataset.name, CIFAR)
    if augmented and recipe.augment is None:
        recipe = replace(recipe, augment=CIFAR_AUGMENTED.augment)
    whitened = dataset.side <= LARGEST_WHITENED and not dataset.shard
    return recipe if whitened or isinstance(recipe.preprocess, Scale) else replace(recipe, preprocess=Scale())


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe over so many epochs: the drops of the learning rate keep their place in the whole."""
    if not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"a run has at least one epoch, a whole number, not {epochs!r}")
    drops = sorted({round(drop * epochs / recipe.epochs) for drop in recipe.lr_drops})
    kept = tuple(drop for drop in drops if 0 < drop < epochs)
    return replace(
        recipe, epochs=epochs, lr_drops=kept, plain_epochs=round(recipe.plain_epochs * epochs / recipe.epochs)
    )


def share(text: str) -> Fraction:
    """A share of the paper's width, as "1/2" or "0.5"."""
    try:
        return Fraction(text.strip())
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"the width is a share of the paper's, 1/2 or 0.5, not {text!r}") from error


def at_width(network: Network, dataset: Dataset, width: Fraction) -> Network:
    """The network at a share of its width, with the dropout that the data set's studies have."""
    if not 0 < width <= 1:
        raise UserError(f"the width is a share of the paper's, above 0 and at most 1, not {width}")
    try:
        if dataset.name in ("digits", "cifar10-2000"):
            return small(network, 1 / width, DIGITS_DROPOUT)
        return narrow(network, 1 / width)
    except ValueError as error:
        body = math.gcd(*(conv.width for conv in network.convs[:-1]))
        parts = [n for n in range(2, body + 1) if body % n == 0]
        known = ", ".join(f"1/{n}" for n in parts)
        raise UserError(f"{network.name} has no width {width}: {known} leave whole numbers of channels") from error


def fitted(network: Network, dataset: Dataset, recipe: Recipe) -> Network:
    """The same layers over this data set: its classes, and the side of what its images show the network."""
    if network.channels != COLORS:
        raise UserError(f"{network.name} takes images of {network.channels} channels, those of {dataset.name} have 3")
    side = recipe.augment.side(dataset.side) if recipe.augment else dataset.side
    made = network if network.classes == dataset.classes else for_classes(network, dataset.classes)
    made = made if made.side == side else replace(made, side=side)
    try:
        steps(made)
    except ValueError as error:
        raise UserError(f"{network.name} cannot be trained on {dataset.name}: {error}") from error
    return made
