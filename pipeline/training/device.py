"""Where this process computes, and in which number format."""

import torch

from pipeline.numerics.fast.precision import Mode, choose_mode
from pipeline.plan.experiment import Experiment
from pipeline.runtime.settings import settings


def device() -> str:
    """`cuda` where torch finds a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def mode_of(experiment: Experiment) -> Mode:
    """How this process computes the experiment, by its settings; without one, by a short probe of the device."""
    configured = settings()
    return choose_mode(experiment.network, device(), configured.precision, configured.deterministic, configured.graph)
