"""Small experiments that take the fast path and the plain one."""

from dataclasses import replace

import torch

from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.fast.trainer import Trainer
from pipeline.numerics.initialization import initialize
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.model import build
from pipeline.paper.augmentations import Shift
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe

POOLED = Network(
    "pooled", 8, (Dropout(0.2), Conv(3, 8), Pool(), Dropout(0.5), Conv(3, 16, 2), Dropout(0.3), Conv(1, 4))
)
LEAKY = Network("leaky", 8, (Conv(2, 8, pad=0, slope=0.3), Dropout(0.1), Conv(3, 4, 2, relu=False)))
RECIPE = Recipe(lr=0.05, epochs=3, lr_drops=(2,), batch=16, weight_decay=0.01)
FIFTY_STEPS = replace(RECIPE, epochs=10, lr_drops=(7,), augment=Shift(2))  # of five steps each, the last one smaller


def images(count=70, seed=0) -> Images:
    """Noise of 8 x 8 pixels in four classes."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, 3, 8, 8, generator=generator)
    return Images(pixels, torch.randint(4, (count,), generator=generator))


def feed(recipe=RECIPE, count=70, seed=0):
    return Loader(images(count, seed), recipe)


def fresh(network=POOLED, seed=0):
    model = build(network)
    initialize(model, "he", seed)
    return model


def lane(network=POOLED, recipe=RECIPE, seed=0, mode=None, device="cpu", **more):
    train, test = (Loader(given.to(device), recipe) for given in (images(70), images(20, 1)))
    return Trainer(fresh(network, seed).to(device), network, recipe, train, test, seed, mode or Mode(), **more)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def timeless(rows):
    return [replace(row, seconds=0) for row in rows]
