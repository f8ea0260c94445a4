"""The study of what the paper does not state; pipeline/paper/READING.md says what came of it.

A reading is how weights start, at what the biases of the class scores start, and the images of a batch.
"""

from dataclasses import replace

from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.recipes import CIFAR, INITIALIZATIONS, LEARNING_RATES, Recipe
from pipeline.plan.datasets import DATASETS
from pipeline.plan.experiment import Experiment
from pipeline.plan.study import Relation, Study

READINGS_WIDTH = 4  # the paper's widths divided by this, but for the finalists
THREE = ("strided-cnn-a", "model-c", "all-cnn-c")
FIVE = (*THREE, "model-a", "convpool-cnn-b")
ALL_STARTS = tuple((how, bias, 128) for bias in (0.0, 0.1) for how in INITIALIZATIONS)
XAVIER = (("xavier", 0.0, 128), ("xavier", 0.1, 128))
LARGER_BATCHES = tuple(("xavier", bias, batch) for batch in (200, 256) for bias in (0.0, 0.1))
FINALISTS = (("xavier", 0.1, 128), ("glorot", 0.1, 128), ("xavier", 0.0, 128))
READINGS = (  # networks, what their widths are divided by, readings and seeds, in the order of the search
    (THREE, READINGS_WIDTH, ALL_STARTS, (0,)),
    (("strided-cnn-a", "all-cnn-c"), 1, FINALISTS, (0,)),
    (FIVE, READINGS_WIDTH, XAVIER, (0, 1)),
    (THREE, READINGS_WIDTH, LARGER_BATCHES, (0,)),
    (FIVE, READINGS_WIDTH, FINALISTS, (0, 1)),
)


def readings(seeds: int = 2) -> Study:
    """Short trainings on CIFAR-10 by readings of what the paper does not state, at its four learning rates."""
    experiments = (
        Experiment(narrow(TWELVE[name], width), DATASETS["cifar10"], _reading(lr, *reading), seed)
        for names, width, tried, some in READINGS
        for seed in some
        for name in names
        for reading in tried
        for lr in LEARNING_RATES
        if seed < seeds
    )
    question = "with which unstated settings do the paper's learning rates train?"
    scale = "a quarter of the width (the finalists at full width), 3 epochs of 25,000 images"
    runs = tuple(dict.fromkeys(experiments))
    return Study("readings", question, runs, relation=Relation.SMALLER, scale=scale, every_run=True)


def _reading(lr: float, initialization: str, score_bias: float, batch: int) -> Recipe:
    short = replace(CIFAR, lr=lr, epochs=3, epoch_images=25_000, lr_drops=())
    return replace(short, initialization=initialization, score_bias=score_bias, batch=batch)
