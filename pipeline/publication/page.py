"""A study's page: one HTML file that needs nothing beside it, from its tables, its results and what the store holds."""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pipeline.evaluation.headline import headline
from pipeline.evaluation.proofs import proofs
from pipeline.evaluation.results import Run
from pipeline.evaluation.schema import FILES, SCHEMA, TABLES, rule_words
from pipeline.evaluation.table_errors import OUTCOME_WORDS, commit_of
from pipeline.paper.published_errors import CONTRADICTIONS
from pipeline.plan.experiment import Experiment
from pipeline.plan.study import Relation, Study
from pipeline.publication import formats, plots
from pipeline.publication.curves import curves
from pipeline.publication.display import in_print, merge_rules, readable, records
from pipeline.publication.svg import Plot
from pipeline.records.published import Edition
from pipeline.records.result import Evaluation, Origin, Result, Summary
from pipeline.store.objects import AT_ONCE, Store
from pipeline.store.paths import RunFolder, StudyFolder
from pipeline.visualization import notes
from pipeline.visualization.catalogue import RenderRequest, pictures

PICTURES = 4  # shown on the page; the gallery has them all
BEST_PICTURES = ("largest.scores", "maps.scores.guided", "strongest", "")  # how their names begin
VERDICTS = (  # in the order in which the page counts them
    "reproduced", "better", "worse", "inconclusive", "did not learn", "diverged", "crashed", "damaged", "refused",
    "unfinished", "not run", "not comparable", "no number",
)  # fmt: skip
FACTS = {
    "commit": "commit", "lock_sha256": "uv.lock", "raw_sha256": "raw data", "whitening_sha256": "whitening as computed",
    "revision": "revision of the numerics", "device": "device", "processor": "processor", "mode": "number format",
    "torch": "torch", "python": "Python",
}  # fmt: skip
_ORIGIN = {field.name for field in fields(Origin)}


def make(
    store: Store,
    study: Study,
    made: Mapping[str, pd.DataFrame],
    results: Mapping[str, Result],
    edition: Edition,
    price: float | None = None,
) -> tuple[bytes, list[Plot]]:
    """The page, and its plots for use elsewhere. The same store gives the same bytes; `price` is of a device-hour."""
    rows: dict[str, list] = {kind: [] for kind in TABLES}
    rows |= {kind: records(merge_rules(table) if kind == "cells" else table) for kind, table in made.items()}
    networks = {row["network"] for row in rows["cells"]}
    drawn = _plots(store, study, rows, results)
    own = {e.id: results[e.id] for e in study.wanted if e.id in results}  # not those of the studies beside it
    proved = list(proofs(store, own).values())
    page = (
        _environment()
        .get_template("report.html")
        .render(
            study=study,
            seeds=1 + max(e.seed for e in study.experiments),
            contradictions=[c.what for c in CONTRADICTIONS if c.networks[0] in networks]
            if study.relation is Relation.PAPER
            else [],
            headline=headline(study, {kind: records(table) for kind, table in made.items()}),
            edition=edition.digest,
            made=_made(edition, own),
            index=store.exists("index.html"),
            schema=SCHEMA,
            verdicts=_counted(records(made["cells"])) if "cells" in made else {},
            cells=rows["cells"],
            tables={kind: _shown(kind, table) for kind, table in made.items()},
            claims=_claims(rows["claims"]),
            plots=drawn,
            pictures=_pictures(store, study, rows["cells"], results),
            gallery=store.exists(StudyFolder(study.name).gallery),
            cost=_cost(study, own, price),
            facts=_facts(study, results),
            finished=sum(result.outcome == "done" for result in own.values()),
            proved=sum(proof is not None for proof in proved),
            conditions=_conditions(proved),
            reading=formats.pandas_line(store, study.name),
            files={kind: FILES[kind] for kind in made},
        )
    )
    return page.encode(), drawn


def _made(edition: Edition, results: Mapping[str, Result]) -> list[str]:
    """When this edition was first published, where its runs were trained, and by which code; as far as known."""
    dates = [edition.at[:16].replace("T", " ") + " UTC"] if edition.at else []
    origins = [origin for result in results.values() for origin in result.summary.origins]
    hosts = sorted({origin.host.split()[0] for origin in origins if origin.host})
    commits = sorted({commit_of(origin) for origin in origins} - {""})
    named = [*dates, *([f"trained on {_some(hosts)}"] if hosts else [])]
    return [*named, *([f"commit {_some(commits)}"] if commits else [])]


def _some(names: list[str]) -> str:
    """The first three of many."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _environment() -> Environment:
    loader = PackageLoader("pipeline.publication", ".")
    environment = Environment(
        loader=loader, autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(in_print=in_print, in_words=rule_words)
    return environment


def _plots(
    store: Store, study: Study, rows: dict[str, list[dict[str, Any]]], results: Mapping[str, Result]
) -> list[Plot]:
    cells = rows["cells"]
    read = curves(store, results, dict.fromkeys(id for row in cells for id in row["runs"].split()))
    panels = [
        plots.Panel(
            plots.row_name(row),
            [read[id] for id in row["runs"].split() if id in read],
            row["paper_error"] if study.comparable else None,
        )
        for row in cells
        if row["verdict"] != "refused"
    ]
    main = plots.forest(cells) or plots.errors(cells)
    return [plot for plot in (main, plots.learning(panels), plots.sensitivity(rows["rates"])) if plot]


def _counted(rows: Iterable[dict[str, Any]]) -> dict[str, list[tuple[str, int]]]:
    """How often each verdict was given, by the rule that chose the rates: either has a row for every error."""
    found: dict[str, Counter] = {}
    for row in rows:
        found.setdefault(row["rule"], Counter())[row["verdict"]] += 1
    return {rule: [(verdict, n[verdict]) for verdict in VERDICTS if n[verdict]] for rule, n in found.items()}


def _shown(kind: str, table: pd.DataFrame) -> dict[str, Any]:
    """A table as people read it: headings, whether each is of numbers, and rows of text."""
    shown = readable(kind, table)
    types = {c.shown: c.type for c in TABLES[kind] if c.shown}
    numeric = [types[heading] in ("number", "count") for heading in shown]
    return {"headings": list(shown), "numeric": numeric, "rows": shown.to_numpy().tolist()}


def _claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a claim, with its comparisons by either rule."""
    out: dict[int, dict[str, Any]] = {}
    for row in rows:
        claim = out.setdefault(row["claim"], {"number": row["claim"], "sentence": row["sentence"], "rules": {}})
        rule = claim["rules"].setdefault(
            row["rule"], {"verdict": row["verdict"], "because": row["because"], "comparisons": []}
        )
        if row["comparison"]:
            rule["comparisons"].append(row)
    for claim in out.values():
        claim["verdicts"] = {}
        found_any = [c["effect"] is not None for found in claim["rules"].values() for c in found["comparisons"]]
        claim["told"] = any(found_any)
        for rule, found in claim["rules"].items():
            claim["verdicts"].setdefault(found["verdict"], []).append(rule)
    return list(out.values())


def _pictures(
    store: Store, study: Study, cells: list[dict[str, Any]], results: Mapping[str, Result]
) -> list[dict[str, str]]:
    """Pictures of the best cells' first runs, as data in the page."""
    experiments = {e.id: e for e in study.experiments}
    measured = sorted((row for row in cells if row["error"] is not None), key=lambda row: row["error"])
    ids = list(dict.fromkeys(row["runs"].split()[0] for row in measured))[:PICTURES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda id: _picture(store, experiments[id], results[id]), ids)
        return [picture for picture in found if picture]


def _picture(store: Store, experiment: Experiment, result: Result) -> dict[str, str] | None:
    """The picture of a run that says most, with the words of the note beside it; as every study draws them first."""
    id, top = experiment.id, RunFolder(experiment.id).figures
    there = [name for name in store.names(top) if name.endswith(".png")]
    digests = result.digests
    usual = (
        {f"{p.name(digests)}.png" for p in pictures(experiment.network, RenderRequest())}
        if there and digests.model
        else set()
    )
    names = [name for name in there if name in usual] or there
    ranked = [name for start in BEST_PICTURES for name in names if name.startswith(start)]
    if not ranked:
        return None
    beside = f"{top}/{ranked[0].removesuffix('.png')}.json"
    note = notes.read(store, beside) if notes.is_note(beside) and store.exists(beside) else {}
    columns = f"; from the left: {', '.join(note['columns'])}" if note.get("columns") else ""
    return {
        "title": f"{in_print(id.split('.')[0])}. {note.get('title', ranked[0])}{columns}",
        "data": f"data:image/png;base64,{base64.b64encode(store.read(f'{top}/{ranked[0]}')).decode()}",
        "href": f"../../{top}/{ranked[0]}",
    }


def _cost(study: Study, results: Mapping[str, Result], price: float | None) -> dict[str, Any]:
    """What the study has taken so far, those runs included that only chose a rate."""
    spent = sum(result.device_seconds for result in results.values())
    wasted = sum(result.summary.wasted_seconds for result in results.values())
    return {
        "planned": len(study.wanted),
        "outcomes": Counter(OUTCOME_WORDS.get(result.outcome, result.outcome) for result in results.values()),
        "device_hours": spent / 3600,
        "wasted_hours": wasted / 3600,
        "price": price,
        "money": None if price is None else (spent + wasted) / 3600 * price,
    }


def _conditions(proved: Sequence[Evaluation | None]) -> list[tuple[str, int]]:
    """Under which conditions stored weights made the errors that were reported, with the number of runs."""
    under = Counter(f"torch {c.torch} on {c.processor}" for proof in proved if proof for c in proof.under)
    return sorted(under.items())


def _facts(study: Study, results: Mapping[str, Result]) -> list[tuple[str, list[tuple[str, int]]]]:
    """What the results rest on: every value of every fact, with the number of runs that have it; a run that went on
    from the checkpoint of another machine or another version may have several."""
    facts = [Run(e, results[e.id]).facts for e in study.read if e.id in results]
    counted = [(label, Counter(v for fact in facts for v in _fact(fact, name))) for name, label in FACTS.items()]
    return [(label, sorted((v, n) for v, n in values.items() if v)) for label, values in counted if any(values)]


def _fact(fact: Summary, name: str) -> set[str]:
    """The values of a fact in one run."""
    having = fact.origins if name in _ORIGIN else (fact,)
    values = {commit_of(one) if name == "commit" else str(getattr(one, name) or "") for one in having}
    return {value[:16] if name.endswith("sha256") else value for value in values}
