"""What came of a study, in one sentence."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from pipeline.plan.studies import Relation, Study

WITHOUT_ERROR = ("did not learn", "diverged", "crashed", "not run", "refused")


def headline(study: Study, cells: Sequence[dict[str, Any]], claims: Sequence[dict[str, Any]]) -> str:
    """The answer to the study's question as far as its runs go; `cells` and `claims` are rows of its tables."""
    first = [row for row in cells if row["rule"] == cells[0]["rule"]]  # where there are two rules, the paper's
    lacking = Counter(row["verdict"] for row in first if row["verdict"] in WITHOUT_ERROR)
    parts = [_learned(len(first), lacking, [row["error"] for row in first if row["verdict"] not in WITHOUT_ERROR])]
    if study.relation is Relation.PAPER:
        verdicts = Counter(row["verdict"] for row in first if row["verdict"] not in WITHOUT_ERROR)
        parts += [_counted(verdicts, "beside the paper: ")] if verdicts else []
    decided = {row["claim"]: row["verdict"] for row in claims if row["rule"] == claims[0]["rule"]}
    told = Counter(v for v in decided.values() if v.startswith(("holds", "contradicted", "inconclusive")))
    parts += [_counted(told, "claims: ")] if told else []
    return "; ".join(parts)


def _learned(planned: int, lacking: Counter, errors: Sequence[float | None]) -> str:
    known = [error for error in errors if error is not None]
    said = f"{len(known)} of {planned} networks learned" if planned != 1 else f"{len(known)} of 1 network learned"
    if lacking:
        said += f" ({_counted(lacking)})"
    return f"{said}, median error {median(known):.2f} %, worst {max(known):.2f} %" if known else said


def _counted(found: Counter, before: str = "") -> str:
    return before + ", ".join(f"{count} {word}" for word, count in found.most_common())
