"""A finished run with random weights on random images, made without training: what pictures need of one."""

import numpy as np

from pipeline.data import prepare, sources
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build, count_parameters
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.recipes import Recipe
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.store.objects import sha256
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training import checkpoint

TEST = 40


def raw():
    draws = [np.random.default_rng(seed) for seed in (0, 1)]
    parts = [
        part
        for draw, count in zip(draws, (64, TEST), strict=True)
        for part in (
            draw.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8),
            np.arange(count, dtype=np.uint8) % 10,
        )
    ]
    return sources.Raw(*parts)


def experiment(network="all-cnn-c", seed=0) -> Experiment:
    noise = Dataset("noise", 32, 10, 64, TEST, raw().sha256)
    recipe = Recipe(lr=0.05, epochs=1, lr_drops=(), batch=16, initialization="he")
    return Experiment(narrow(TWELVE[network], 24), noise, recipe, seed)


def finish(store, this: Experiment) -> str:
    """Put what a training would have left; returns the run's id."""
    prepare.make(store, this.dataset, this.recipe.preprocess)
    model, run = build(this.network), RunFolder(this.id)
    initialize(model, "he", this.seed, None)
    weights = checkpoint.weights(model)
    store.write_json(run.experiment, this.plain())
    store.write(run.weights(1), weights)
    manifest = store.read(DatasetFolder(this.dataset, this.recipe.preprocess).manifest)
    result = {
        "outcome": "done",
        "attempt": 1,
        "epochs": 1,
        "wrong": 36,
        "seen": TEST,
        "seconds": 1.0,
        "weights": "attempts/1/model.safetensors",
        "weights_bytes": len(weights),
        "parameters": count_parameters(model),
        "digests": {"model": sha256(weights), "dataset": sha256(manifest)},
    }
    store.write_json(run.result, result)
    return this.id
