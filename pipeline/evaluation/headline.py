"""The outcome of a study in one sentence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from pipeline.plan.schedule import RULES
from pipeline.plan.study import Relation, Study

WITHOUT_ERROR = ("did not learn", "diverged", "crashed", "damaged", "unfinished", "not run", "refused")


def headline(study: Study, tables: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """The answer to the study's question as far as its runs go, from the rows of its tables by kind."""
    if study.every_run:
        return _best_reading(tables["readings"])
    cells, claims = tables["cells"], tables["claims"]
    first = [row for row in cells if row["rule"] != RULES[1]]  # a row a network: where there are two rules, the paper's
    lacking = Counter(row["verdict"] for row in first if row["verdict"] in WITHOUT_ERROR)
    so_far = _so_far(len(first), tables.get("rates", ())) if lacking["unfinished"] else []
    if lacking["unfinished"] + lacking["not run"] == len(first):
        return "; ".join(["not known yet: every network lacks runs", *so_far])
    parts = [_learned(len(first), lacking, [row["error"] for row in first if row["verdict"] not in WITHOUT_ERROR])]
    parts += so_far
    if study.relation is Relation.PAPER:
        verdicts = Counter(row["verdict"] for row in first if row["verdict"] not in WITHOUT_ERROR)
        parts += [_counted(verdicts, "compared with the paper: ")] if verdicts else []
    elif study.relation is Relation.OWN and study.published_errors:
        verdicts = Counter(row["verdict"] for row in first if row["paper_error"] is not None)
        parts += [_counted(verdicts, "compared with the numbers in print: ")]
    decided = {row["claim"]: row["verdict"] for row in claims if row["rule"] == claims[0]["rule"]}
    told = Counter(v for v in decided.values() if v.startswith(("holds", "contradicted", "inconclusive")))
    parts += [_counted(told, "claims: ")] if told else []
    return "; ".join(parts)


def _best_reading(rows: Sequence[dict[str, Any]]) -> str:
    whole = [row for row in rows if row["whole"]]
    if not whole:
        return f"no reading is whole yet, {len(rows)} have begun" if rows else "no run has come out yet"
    best = whole[0]
    alike = [row for row in whole if row["width"] == best["width"]]
    return (
        f"{best['initialization']}, biases of the scores at {best['score_bias']:g}, batch {best['batch']}: "
        f"{best['left']} of {best['runs']} runs leave the plateau, the most of {len(alike)} readings at "
        f"{best['width']} of the paper's width (READING.md says which reading was chosen)"
    )


def _learned(planned: int, lacking: Counter, errors: Sequence[float | None]) -> str:
    known = [error for error in errors if error is not None]
    said = f"{len(known)} of {planned} networks learned" if planned != 1 else f"{len(known)} of 1 network learned"
    if lacking:
        said += f" ({_counted(lacking)})"
    return f"{said}, median error {median(known):.2f} %, worst {max(known):.2f} %" if known else said


def _so_far(planned: int, rates: Sequence[dict[str, Any]]) -> list[str]:
    """What the runs that have come out say of the networks, where learning rates are yet to be chosen."""
    found = [row for row in rates if row["error"] is not None]
    if not found:
        return []
    cells = {(row["network"], row["dataset"], row["augmented"]) for row in found}
    errors = [row["error"] for row in found]
    told = f"so far {len(cells)} of {planned} have an error at one learning rate or more"
    return [f"{told}, {min(errors):.2f} to {max(errors):.2f} %"]


def _counted(found: Counter, before: str = "") -> str:
    return before + ", ".join(f"{count} {word}" for word, count in found.most_common())
