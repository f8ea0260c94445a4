"""The table of study `readings`: for every reading of the unstated settings, how many of its runs learned to train.

The criterion was written down before the first result (pipeline/paper/READING.md): a run has left the plateau when the
mean training loss of its last epoch is below LEFT_PLATEAU nats, where guessing among ten classes costs ln 10 = 2.303.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from pipeline.evaluation.results import Run
from pipeline.paper.networks import NETWORKS
from pipeline.paper.recipes import LEARNING_RATES
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.records.result import Result

LEFT_PLATEAU = 2.2  # nats


@dataclass(frozen=True, order=True)
class Reading:
    """One choice of what the paper does not state."""

    width: str  # of the networks: "1/4" or "1"
    initialization: str
    score_bias: float
    batch: int


def reading_of(experiment: Experiment) -> Reading:
    """The reading that an experiment trains by."""
    by = NETWORKS[experiment.network.name].convs[0].width // experiment.network.convs[0].width
    recipe = experiment.recipe
    return Reading("1" if by == 1 else f"1/{by}", recipe.initialization, recipe.score_bias, recipe.batch)


def reading_rows(study: Study, results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """One row a reading, the whole ones first and of these the best: finished runs, how many left the plateau, their
    mean training loss, and at each of the paper's learning rates how many of how many left it."""
    groups: dict[Reading, list[Run]] = {}
    for experiment in study.experiments:
        groups.setdefault(reading_of(experiment), []).append(Run(experiment, results.get(experiment.id)))
    names = {reading: {run.experiment.network.name for run in runs} for reading, runs in groups.items()}
    widths = dict.fromkeys(reading.width for reading in groups)
    shared = {width: set.intersection(*(n for r, n in names.items() if r.width == width)) for width in widths}
    rows = [row for reading, runs in groups.items() if (row := _row(reading, runs, shared[reading.width]))]
    return sorted(rows, key=_rank)


def _rank(row: dict[str, Any]) -> tuple:
    return row["width"] != "1/4", not row["whole"], -row["left_share"], row["loss"]


def _row(reading: Reading, planned: list[Run], shared: set[str]) -> dict[str, Any] | None:
    runs = [run for run in planned if run.outcome in ("done", "diverged", "dead")]
    if not runs:
        return None
    left = [run for run in runs if has_left(run)]
    return {
        "width": reading.width,
        "initialization": reading.initialization,
        "score_bias": reading.score_bias,
        "batch": reading.batch,
        "networks": len({run.experiment.network.name for run in runs}),
        "runs": len(runs),
        "whole": _is_whole(runs, shared),
        "left": len(left),
        "left_share": len(left) / len(runs),
        "loss": mean(map(loss_of, runs)),
        **{f"lr_{lr:g}": _at(runs, lr) for lr in LEARNING_RATES},
    }


def _is_whole(runs: list[Run], shared: set[str]) -> bool:
    """Whether the networks that all readings share have come out at every learning rate."""
    found = {(run.experiment.network.name, run.experiment.recipe.lr) for run in runs}
    return found.issuperset((name, lr) for name in shared for lr in LEARNING_RATES)


def has_left(run: Run) -> bool:
    """Whether a run's last epoch was better than the plateau of equal scores."""
    return loss_of(run) < LEFT_PLATEAU


def loss_of(run: Run) -> float:
    """Mean training loss of the last epoch, in nats; ln(classes) for a run that diverged or did not learn."""
    loss = run.result.train_loss if run.result else None
    return loss if run.outcome == "done" and loss is not None else math.log(run.experiment.network.classes)


def _at(runs: Iterable[Run], lr: float) -> str:
    tried = [run for run in runs if run.experiment.recipe.lr == lr]
    return f"{sum(map(has_left, tried))} of {len(tried)}" if tried else ""
