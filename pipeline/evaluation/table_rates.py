"""The rows of the table of learning rates: for every cell and learning rate, its errors, which rule chooses it, and how
much choosing on test images flatters."""

from collections.abc import Mapping
from statistics import mean
from typing import Any

from pipeline.evaluation.results import Run, counts
from pipeline.evaluation.table_errors import counted, grouped, inconsistent
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import RULES, Cell, cell, chosen_learning_rates
from pipeline.plan.studies import Study
from pipeline.records.result import Result


def learning_rate_rows(study: Study, results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """One row for each cell and learning rate, the largest learning rate first."""
    if study.parts:
        parts = [row for part in study.answering_parts for row in learning_rate_rows(part, results)]
        return list({(r["network"], r["dataset"], r["augmented"], r["lr"]): r for r in parts}.values())
    picks = {rule: chosen_learning_rates(study, results, rule) for rule in RULES}
    out = []
    for this, planned in grouped(study.experiments).items():
        rates_here = sorted({e.recipe.lr for e in planned}, reverse=True)
        choice = len(rates_here) > 1
        for lr in rates_here:
            runs = [Run(e, results.get(e.id)) for e in planned if e.recipe.lr == lr]
            by = {rule: choice and picks[rule].get(this) == lr for rule in RULES}
            # tuned on another data set: nothing was chosen by these errors, and there is no search for it
            searched = None if study.tuned_on else _search_run(study, this, lr, results)
            out.append(_row(this, lr, runs, searched, by, flatters=by["paper"] and not study.tuned_on))
    return out


def _row(
    this: Cell, lr: float, runs: list[Run], searched: Run | None, by: dict[str, bool], flatters: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "network": this.network,
        "dataset": this.dataset,
        "augmented": this.augmented,
        "lr": lr,
        "outcomes": counted(runs),
        "by_paper": by["paper"],
        "by_held_out": by["held-out"],
        "because": inconsistent(runs),
    }
    if row["because"]:
        return row
    done = counts(runs)
    errors = {seed: run.error for seed, run in done.items()}
    further = [error for seed, error in errors.items() if seed]
    row |= {"seeds": len(done), "error": mean(errors.values()) if errors else None, "first_error": errors.get(0)}
    row["held_out_error"] = searched.count.error if searched and searched.count else None
    if flatters and further and 0 in errors:
        row["flatters"] = mean(further) - errors[0]
    return row


def _search_run(study: Study, this: Cell, lr: float, results: Mapping[str, Result]) -> Run | None:
    """The run of the search whose validation error decides on a learning rate."""

    def decides(e: Experiment) -> bool:
        other = cell(e)
        return (other.network, other.augmented, e.recipe.lr) == (this.network, this.augmented, lr)

    found = next((e for e in study.search if decides(e)), None)
    return Run(found, results.get(found.id)) if found else None
