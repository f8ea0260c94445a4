"""The rows of a study's table of errors: one for every cell and every rule of choosing its learning rate, with the
paper's number, the interval, the verdict and the cost."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from pipeline.evaluation.intervals import from_number, of_runs
from pipeline.evaluation.results import Run, counts
from pipeline.evaluation.schema import rule_words
from pipeline.evaluation.verdicts import damage_of
from pipeline.evaluation.verdicts import verdict as verdict_on
from pipeline.paper.published_errors import published_error
from pipeline.paper.shapes import parameters
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import RULES, Cell, candidates, cell, chosen_learning_rates
from pipeline.plan.study import Relation, Study
from pipeline.records.result import Origin, Result

ONE_RATE = "one rate"
OUTCOMES = ("done", "diverged", "dead", "crashed", "damaged", "not run")
OUTCOME_WORDS = {"dead": "did not learn"}  # as people read them, where that is another word
ALIKE = ("raw_sha256", "revision")  # in which the runs of one row must agree


def grouped(experiments: Iterable[Experiment]) -> dict[Cell, list[Experiment]]:
    """The experiments of each cell, in order."""
    out: dict[Cell, list[Experiment]] = {}
    for experiment in experiments:
        out.setdefault(cell(experiment), []).append(experiment)
    return out


def chosen(study: Study, results: Mapping[str, Result]) -> dict[tuple[Cell, str], list[Run]]:
    """For each cell and rule, the runs at the learning rate that the rule chose; none where it cannot choose yet."""
    by_rule = {rule: chosen_learning_rates(study, results, rule) for rule in RULES}
    out = {}
    for this, planned in grouped(study.experiments).items():
        one = len({e.recipe.lr for e in planned}) == 1
        for rule in (ONE_RATE,) if one else RULES if study.search else RULES[:1]:
            lr = by_rule[RULES[0] if one else rule].get(this)
            out[this, rule] = [Run(e, results.get(e.id)) for e in planned if e.recipe.lr == lr]
    return out


def error_rows(study: Study, results: Mapping[str, Result], price: float | None = None) -> list[dict[str, Any]]:
    """One row for each cell and rule; `price` is that of a device-hour."""
    if study.parts:
        parts = [row for part in study.answering_parts for row in error_rows(part, results, price)]
        return list({(r["network"], r["dataset"], r["augmented"], r["rule"]): r for r in parts}.values())
    planned = grouped(study.experiments)
    found = chosen(study, results).items()
    return [_row(study, planned[this], this, rule, runs, results, price) for (this, rule), runs in found]


def blocked_by(study: Study, this: Cell, rule: str, results: Mapping[str, Result]) -> list[Run]:
    """The runs with a result because of which a rule cannot choose: those that crashed or are damaged, or all where
    none learned."""
    tried = candidate_runs(study, this, rule, results)
    lost = [run for run in tried if run.outcome == "damaged"] or [run for run in tried if run.outcome == "crashed"]
    return lost or (tried if all(run.outcome in ("diverged", "dead") for run in tried) else [])


def candidate_runs(study: Study, this: Cell, rule: str, results: Mapping[str, Result]) -> list[Run]:
    """The runs among which a rule chooses."""
    if rule == ONE_RATE:
        return []
    return [Run(e, results.get(e.id)) for e in candidates(study, this, rule)]


def _row(
    study: Study,
    planned: list[Experiment],
    this: Cell,
    rule: str,
    runs: list[Run],
    results: Mapping[str, Result],
    price: float | None,
) -> dict[str, Any]:
    claim = published_for(this, study)
    row = _intent(this, rule, runs, planned[0]) | {
        "paper_error": claim.error if claim else None,
        "paper_parameters": claim.printed_parameters if claim else "",
        "paper_support": claim.support if claim else "",
    }
    tried = candidate_runs(study, this, rule, results)
    row["outcomes"] = counted(runs or tried)
    if refusal := inconsistent(runs) or inconsistent(tried):
        return row | {"verdict": "refused", "because": refusal}
    if not runs:
        verdict, because = _no_rate(blocked_by(study, this, rule, results), tried, rule)
        return row | {"verdict": verdict, "because": because}
    return row | _measured(study, claim, runs) | _cost(runs, price) | _provenance(runs)


def published_for(this: Cell, study: Study):
    """The paper's number for a cell; of your own study, the number that its file gives. For a study of another task it
    is, for orientation, its network's on CIFAR-10."""
    if study.relation is Relation.OWN:
        setting = (this.network, this.dataset, this.augmented)
        return next((c for c in study.published_errors if (c.network, c.dataset, c.augmented) == setting), None)
    if study.comparable:
        return published_error(this.network, this.dataset, this.augmented)
    return next((claim for claim in study.published_errors if claim.network == this.network), None)


def _intent(this: Cell, rule: str, runs: list[Run], example: Experiment) -> dict[str, Any]:
    return {
        "network": this.network,
        "dataset": this.dataset,
        "augmented": this.augmented,
        "rule": rule,
        "lr": runs[0].experiment.recipe.lr if runs else None,
        "parameters": parameters(example.network),
        "runs": " ".join(run.experiment.id for run in runs),
    }


def _no_rate(blocked_by: list[Run], tried: list[Run], rule: str) -> tuple[str, str]:
    """Why there is no learning rate, from the runs that hinder the choice and all among which the rule chooses."""
    if not blocked_by:
        verdict = "unfinished" if any(run.result for run in tried) else "not run"
        return verdict, f"the rule {rule_words(rule)!r} cannot choose a learning rate yet: {counted(tried)}"
    if all(run.outcome == "diverged" for run in blocked_by):
        return "diverged", f"the loss was not finite at any of {len(blocked_by)} learning rates"
    if all(run.outcome in ("diverged", "dead") for run in blocked_by):
        return "did not learn", f"at none of {len(blocked_by)} learning rates: {counted(blocked_by)}"
    if blocked_by[0].outcome == "damaged":
        return "damaged", damage_of(blocked_by)
    commands = ", ".join(f"`strive retry {run.experiment.id}`" for run in blocked_by)
    return (
        "crashed",
        f"of the runs that choose a learning rate by the rule {rule_words(rule)!r}, {len(blocked_by)} crashed, and the "
        f"rule waits for what comes of trying again: {commands}",
    )


def _measured(study: Study, claim, runs: list[Run]) -> dict[str, Any]:
    done = list(counts(runs).values())
    compared = from_number(done, claim.error) if done and claim and study.comparable else None
    verdict, because = verdict_on(study.comparable, claim, runs, compared)
    remark = [claim.remark] if compared and claim.remark else []
    row = {"verdict": verdict, "because": "; ".join([because, *remark]), "seeds": len(done)}
    if done:
        errors, within = [run.error for run in done], of_runs(done)
        row |= {"error": mean(errors), "std": stdev(errors) if len(errors) > 1 else None}
        if within:
            row |= {"low": max(0.0, within.low), "high": min(100.0, within.high), "interval": within.kind}
    if compared:
        row |= {"difference": compared.estimate}
    if compared and compared.interval:
        row |= {"difference_low": compared.interval.low, "difference_high": compared.interval.high}
    return row


def _cost(runs: list[Run], price: float | None) -> dict[str, Any]:
    found = [run.result for run in runs if run.result]
    done = [result for result in found if result.outcome == "done"]
    if not found:
        return {}
    spent = sum(result.device_seconds for result in found)
    return {
        "epochs": max((result.epochs for result in found if result.is_measured), default=None),
        "seconds": mean(result.seconds for result in done) if done else None,
        "device_seconds": spent,
        "wasted_seconds": sum(result.summary.wasted_seconds for result in found),
        "cost": None if price is None else spent / 3600 * price,
    }


def _provenance(runs: list[Run]) -> dict[str, Any]:
    facts = [run.facts for run in runs if run.result]
    origins = [origin for fact in facts for origin in fact.origins]
    return {
        "devices": values_of(origins, "device"),
        "modes": values_of(origins, "mode"),
        "commits": " ".join(sorted({commit_of(origin) for origin in origins} - {""})),
        "raw_sha256": values_of(facts, "raw_sha256"),
        "revision": facts[0].revision if facts else None,
        "whitening_sha256": values_of(origins, "whitening_sha256"),
    }


def commit_of(fact: Origin) -> str:
    """The first 12 digits of the commit, with a + where the checkout had changes."""
    return f"{fact.commit[:12]}{'+' if fact.dirty else ''}" if fact.commit else ""


def values_of(facts: Sequence[Origin], name: str) -> str:
    """What these have in the field `name`, each value once."""
    return ", ".join(sorted({str(value) for fact in facts if (value := getattr(fact, name)) is not None}))


def counted(runs: Sequence[Run]) -> str:
    """How often each outcome occurs, in words: `2 done, 1 not run`."""
    found = Counter(run.outcome for run in runs)
    return ", ".join(
        f"{found[outcome]} {OUTCOME_WORDS.get(outcome, outcome)}" for outcome in OUTCOMES if found[outcome]
    )


def inconsistent(runs: Iterable[Run]) -> str:
    """Why these runs must not be averaged, with their ids: of other data or another revision; empty where they may."""
    found = [run for run in runs if run.result]
    for name in ALIKE:
        kinds: dict[str, list[str]] = {}
        for run in found:
            if (value := getattr(run.facts, name)) is not None:  # not known of a crashed run
                kinds.setdefault(str(value), []).append(run.experiment.id)
        if len(kinds) > 1:
            values = "; ".join(f"{value[:12]}: {' '.join(ids)}" for value, ids in sorted(kinds.items()))
            return f"runs of differing {name} cannot be averaged: {values}"
    return ""
