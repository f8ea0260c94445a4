"""The losses of every network's first five steps, as they were when this was written: they say *same*, not *right*."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.numerics import reference_loop
from pipeline.numerics.dropout import begin_batch, dropouts, epoch_keys
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.fast.trainer import Trainer
from pipeline.numerics.initialization import initialize
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.model import build
from pipeline.paper.augmentations import Shift
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.recipes import Recipe

GOLDEN = json.loads(Path(__file__).with_name("first_losses.json").read_text())
RECIPE = Recipe(lr=0.005, batch=8, augment=Shift())
NEAR = {"float32": 1e-4, "bfloat16": 0.03}


def loader():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((40, 3, 32, 32), dtype=np.float32))
    return Loader(Images(images, torch.from_numpy(rng.integers(0, 10, 40))), RECIPE)


def fresh(name):
    network = narrow(TWELVE[name], 6)
    model = build(network)
    initialize(model, "he", 0)
    return network, model


def plain_losses(name):
    _, model = fresh(name)
    optimizer, keys_LE = reference_loop.Momentum(model, RECIPE), epoch_keys(0, 0, len(dropouts(model)), 40)
    out = []
    for images, labels, place_B in loader().training_batches(0, 0):
        begin_batch(model, keys_LE[:, place_B])
        out.append(reference_loop.step(model, optimizer, RECIPE.lr, images, labels)[0].item() / len(labels))
    return out


def fast_losses(name, precision):
    network, model = fresh(name)
    trainer = Trainer(model, network, RECIPE, loader(), loader(), 0, Mode(precision))
    trainer.begin_epoch()
    out = []
    for chunk in trainer.chunks(1):
        before = trainer.totals[0].item()
        trainer.step(*trainer.batch_at(chunk.positions()), chunk.batch)
        out.append((trainer.totals[0].item() - before) / chunk.batch)
    return out


@pytest.mark.parametrize("name", TWELVE)
def test_the_plain_loop(name):
    assert plain_losses(name) == pytest.approx(GOLDEN[name], rel=NEAR["float32"])


@pytest.mark.parametrize("precision", NEAR)
@pytest.mark.parametrize("name", TWELVE)
def test_the_fast_path(name, precision):
    assert fast_losses(name, precision) == pytest.approx(GOLDEN[name], rel=NEAR[precision])
