"""Results of runs that never were: a study's errors drawn around known truths."""

from collections.abc import Callable

import numpy as np

from pipeline.plan.experiment import Experiment

SEEN = 10_000


def result(experiment: Experiment, error: float, **more) -> dict:
    """A result.json with this error, in percent."""
    summary = {
        "raw_sha256": experiment.dataset.sha256,
        "revision": experiment.revision,
        "whitening_sha256": "f" * 64,
        "device": "a device",
        "mode": "float32",
        "commit": "0123456789abcdef",
        "dirty": False,
        "device_seconds": 20.0,
        "wasted_seconds": 5.0,
    }
    done = {
        "outcome": "done",
        "attempt": 1,
        "epochs": experiment.recipe.epochs,
        "wrong": round(error * SEEN / 100),
        "seen": SEEN,
        "parameters": 1,
        "seconds": 10.0,
    }
    return done | {"experiment_id": experiment.id, "summary": summary | more.pop("summary", {})} | more


def results(experiments, truth: Callable[[Experiment], float], std: float, seed: int = 0) -> dict[str, dict]:
    """One for each experiment, its error drawn around `truth`."""
    rng = np.random.default_rng(seed)
    return {e.id: result(e, truth(e) + rng.normal(0, std)) for e in experiments}
