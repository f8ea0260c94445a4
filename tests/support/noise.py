"""A data set of noise, an experiment on it that takes a second, and how it is trained."""

from dataclasses import replace

import numpy as np

from pipeline.data import sources
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.recipes import Recipe
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Result
from pipeline.store.objects import Store
from pipeline.training import job
from pipeline.training.leases import Lease, acquire
from pipeline.training.owners import LeaseObserver, this_process

RAW = sources.Raw(
    *(
        part
        for count, seed in ((64, 0), (40, 1))
        for part in (
            np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8),
            np.random.default_rng(seed).integers(0, 10, count, dtype=np.uint8),
        )
    )
)
NOISE = Dataset("noise", 32, 10, 64, 40, RAW.sha256)
ONE = Experiment(
    narrow(TWELVE["strided-cnn-a"], 24),
    NOISE,
    Recipe(lr=0.05, epochs=4, lr_drops=(2,), batch=16, initialization="he"),
)
LONG = replace(ONE, recipe=replace(ONE.recipe, epochs=40, lr_drops=(20,)))


def claim(store: Store, experiment: Experiment = ONE) -> Lease:
    """The lease on an experiment that no other process has."""
    [held], _ = acquire(store, [experiment], 1, this_process(), LeaseObserver(store))
    return held


def train(store: Store, experiment: Experiment = ONE) -> Result:
    """The result of an experiment, with a checkpoint after every epoch."""
    [result] = job.run([claim(store, experiment)], store, checkpoint_seconds=0)
    return result
