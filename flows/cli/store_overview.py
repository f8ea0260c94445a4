"""`strive status` alone: the studies and single runs that a store holds, with how far they are."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from flows.cli import layout, runs
from pipeline.errors import UnknownName, unknown_name
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study, every_study
from pipeline.store import catalogue
from pipeline.store.objects import Store
from pipeline.training.progress import Progress, RunStatus

COLUMNS = ("done", "running", "stopped", "failed", "of")


def run_named(store: Store, text: str) -> Experiment:
    """The run whose id begins so; UserError, with studies among what may have been meant, where there is none."""
    try:
        return catalogue.find(store, text.strip().lower())
    except UnknownName as error:
        raise unknown_name("study or run", text, every_study(), str(error).partition(". ")[2]) from error


def overview(store: Store) -> tuple[dict[str, Any], str]:
    """What the store holds as `--json` prints it, and for people."""
    there = catalogue.ids(store)
    known = [make() for make in every_study().values()]
    studies = [study for study in known if not study.parts and _held(study, there)]
    planned = {e.id: e for study in studies for e in study.wanted if e.id in there}
    single = [one for id in sorted(there - set(planned)) if (one := catalogue.readable(store, id))]
    found = Progress(store, [*planned.values(), *single]).statuses()
    by_id = {s.experiment.id: s for s in found}
    rows = [_row(study, [by_id[e.id] for e in study.wanted if e.id in by_id]) for study in studies]
    alone = [by_id[e.id] for e in single]
    answer = {"store": store.url, "studies": rows, "runs": [s.plain() for s in alone]}
    busy = [s for s in found if s.state == "running" and s not in alone]
    return answer, _shown(store, rows, [*busy, *alone])


def _held(study: Study, there: set[str]) -> bool:
    return any(e.id in there for e in study.wanted)


def _row(study: Study, statuses: Sequence[RunStatus]) -> dict[str, Any]:
    counts = Counter("failed" if s.state in runs.FAILED else s.state for s in statuses)
    return {"study": study.name, **{state: counts[state] for state in COLUMNS[:-1]}, "of": len(study.wanted)}


def _shown(store: Store, rows: Sequence[dict[str, Any]], listed: Sequence[RunStatus]) -> str:
    if not rows and not listed:
        return f"{store.url} holds no runs yet."
    parts = []
    if rows:
        lines = [[row["study"], *(str(row[column] or "") for column in COLUMNS)] for row in rows]
        parts.append(layout.table(["study", *COLUMNS], lines, COLUMNS))
    if listed:
        parts.append(runs.each(listed))
    return "\n\n".join(parts)
