"""Pure views of a study: what it will cost, what is missing and in which order."""

from collections.abc import Container, Iterable

from pipeline.paper.shapes import training_flops
from pipeline.plan.experiment import Experiment


def flops(experiment: Experiment) -> int:
    """Floating-point operations of the whole training, evaluation left out."""
    return training_flops(experiment.network) * experiment.dataset.train * experiment.recipe.epochs


def needed(experiments: Iterable[Experiment], settled: Container[str]) -> list[Experiment]:
    """The experiments without an outcome, the longest first: short ones fill the gaps at the end."""
    return sorted((e for e in experiments if e.id not in settled), key=flops, reverse=True)
