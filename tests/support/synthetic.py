"""Results of runs that never were: a study's errors drawn around known truths, and the tables they make."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.evaluation import frames
from pipeline.evaluation.replications import Noise, compare
from pipeline.paper.published_errors import published_error
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import study
from pipeline.records.result import Result

SEEN = 10_000
TABLE_3 = study("table-3", 5)
BEST = 0.05  # the learning rate that both rules choose below


def result(experiment: Experiment, error: float, **more) -> Result:
    """A result with this error, in percent; `more` are other fields of result.json."""
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
    done |= {"experiment_id": experiment.id, "summary": summary | more.pop("summary", {})} | more
    return Result.from_plain(done, experiment.id)


def results(experiments, truth: Callable[[Experiment], float], std: float, seed: int = 0) -> dict[str, Result]:
    """One for each experiment, its error drawn around `truth`."""
    rng = np.random.default_rng(seed)
    return {e.id: result(e, truth(e) + rng.normal(0, std)) for e in experiments}


def papers(shift=0.0, **moved):
    """The paper's error for every network at the best rate, 20 points more at the others."""

    def truth(e):
        printed = published_error(e.network.name)
        assert printed is not None
        at = printed.error + shift + moved.get(e.network.name.replace("-", "_"), 0.0)
        return at if e.recipe.lr == BEST else at + 20

    return truth


def made(truth=None, std=0.1, study=TABLE_3, price=None, **more):
    found = results(study.wanted, truth or papers(), std) | more
    return frames.make(study, found, price, again(study, found))


def again(study, found):
    """The first two runs, trained again: one to the same bits, one to 100 more errors."""
    first, second = [(id, one) for id, one in found.items() if one.outcome == "done"][:2]
    other = replace(second[1], wrong=second[1].wrong + 100, digests=replace(second[1].digests, model="other"))
    pairs = ((first, first[1]), (second, other))
    return [(id, compare(original, one, Noise(0.5, "5 seeds"))) for (id, original), one in pairs]


def claims(table, rule="paper"):
    rows = table["claims"]
    return rows[rows["rule"] == rule].groupby("claim")["verdict"].first().to_dict()


def cell_of(found, network="all-cnn-c", rule="paper"):
    cells = found["cells"]
    return cells[(cells["network"] == network) & (cells["rule"] == rule)].iloc[0]


def of(network, keep=lambda e: True):
    return [e for e in TABLE_3.experiments if e.network.name == network and keep(e)]
