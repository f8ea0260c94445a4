"""The front page of a store: which studies it holds, how far each is, what came of it, and where its pages are.

Read from results, checkpoints and claims of the store alone; `write_index` puts index.html and README.md at its top.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pipeline.evaluation import frames
from pipeline.evaluation.headline import headline
from pipeline.evaluation.results import collect
from pipeline.evaluation.table_errors import OUTCOME_WORDS
from pipeline.paper.networks import printed_name
from pipeline.plan.schedule import needed
from pipeline.plan.studies import Study, every_study
from pipeline.publication.display import in_cell, records
from pipeline.store import catalogue
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder, StudyFolder
from pipeline.training.progress import Progress, RunStatus

GATHERED = ("all",)  # studies that only gather others
UNDECIDED = ("unfinished", "not run", "no number", "not comparable")


@dataclass(frozen=True)
class Entry:
    """One study as the index shows it."""

    study: Study
    outcomes: dict[str, int]  # runs that came out, by outcome
    to_come: int  # runs that the study wants now and that have no outcome
    begun: tuple[str, ...]  # of these, the begun ones, each with its epoch in words
    headline: str
    claims: tuple[tuple[int, str, str], ...]  # number, sentence and verdict of those that are decided or could be
    errors: tuple[tuple[str, str], ...]  # cell and verdict of those compared with the paper's numbers
    links: tuple[tuple[str, str], ...]  # words and address relative to the store's top


@dataclass(frozen=True)
class SingleRun:
    """One run that belongs to no study, such as those of `strive run`."""

    id: str
    network: str
    dataset: str
    state: str  # the test error with its counts, or how far it is
    maps: str | None  # address of its guided-backpropagation maps, relative to the store's top


def entries(store: Store) -> list[Entry]:
    """Every study of which the store holds a run, finished or begun, in the order of the list of studies."""
    there = {name.split("/")[0] for name in store.names("runs")}
    studies = [make() for name, make in every_study().items() if name not in GATHERED]
    return [_entry(store, study, there) for study in studies if any(e.id in there for e in study.wanted)]


def single_runs(store: Store, found: Sequence[Entry]) -> list[SingleRun]:
    """Every run of the store that is of none of these studies, by id."""
    told = {e.id for entry in found for e in (*entry.study.wanted, *entry.study.read)}
    others = [catalogue.readable(store, id) for id in sorted(catalogue.ids(store) - told)]
    return [_single(store, status) for status in Progress(store, [e for e in others if e]).statuses()]


def write_index(store: Store) -> str:
    """Write the front page as HTML and as Markdown; returns the address of the first."""
    found = entries(store)
    single = single_runs(store, found)
    template = _environment().get_template("index.html")
    store.write("index.html", template.render(entries=found, single=single, words=_words).encode())
    store.write("README.md", markdown(found, single).encode())
    return store.url_of("index.html")


def markdown(found: Sequence[Entry], single: Sequence[SingleRun] = ()) -> str:
    """The same as Markdown, which hosts of repositories show beside the files."""
    lines = ["# Results", "", "What this store holds, written by `strive index`.", ""]
    for entry in found:
        lines += [f"## {entry.study.name}: {entry.study.question}", ""]
        lines += [f"*{_words(entry)}.* **{entry.headline}.**", "", f"Runs: {_runs(entry)}."]
        lines += [f"- begun: {words}" for words in entry.begun]
        lines += ["", "| claim | | verdict |", "| --: | --- | --- |"] if entry.claims else []
        lines += [f"| {number} | {in_cell(sentence)} | {verdict} |" for number, sentence, verdict in entry.claims]
        lines += ["", "| error of | verdict |", "| --- | --- |"] if entry.errors else []
        lines += [f"| {cell} | {verdict} |" for cell, verdict in entry.errors]
        lines += ["", " · ".join(f"[{words}]({address})" for words, address in entry.links), ""]
    if single:
        lines += ["## Single runs", "", "Runs that belong to no study listed here.", ""]
        lines += ["| run | network | data | state | |", "| --- | --- | --- | --- | --- |"]
    for run in single:
        maps = f"[maps]({run.maps})" if run.maps else ""
        lines.append(f"| {run.id} | {run.network} | {run.dataset} | {run.state} | {maps} |")
    return "\n".join(lines)


def _entry(store: Store, study: Study, there: set[str]) -> Entry:
    results = collect(store, [e for e in study.read if e.id in there])
    made = frames.make(study, results)
    tables = {kind: records(table) for kind, table in made.items()}
    own = [results[e.id] for e in study.wanted if e.id in results]
    waiting = needed(study, results)
    statuses = Progress(store, [e for e in waiting if e.id in there]).statuses()
    return Entry(
        study,
        dict(Counter(result.outcome for result in own)),
        len(waiting),
        tuple(_begun(status) for status in statuses),
        headline(study, tables),
        _claims(tables.get("claims", [])),
        _errors(tables.get("cells", [])),
        tuple(_links(store, study.name)),
    )


def _single(store: Store, status: RunStatus) -> SingleRun:
    experiment, result = status.experiment, status.result
    folder = RunFolder(experiment.id)
    state = _how_far(status)
    if result:
        state = OUTCOME_WORDS.get(result.outcome, result.outcome)
        if result.error_percent is not None:
            state = f"{result.error_percent:.2f} % test error ({result.wrong:,} of {result.seen:,} wrong)"
    maps = [name for name in store.names(folder.figures) if name.endswith(".png") and ".guided." in name]
    return SingleRun(
        experiment.id,
        printed_name(experiment.network.name),
        experiment.dataset.name,
        state,
        f"{folder.figures}/{maps[0]}" if maps else None,
    )


def _begun(status: RunStatus) -> str:
    return f"{status.experiment.id}, {_how_far(status)}"


def _how_far(status: RunStatus) -> str:
    if status.state == "missing":  # no process trains it, and there is nothing to go on from
        return "without a checkpoint yet"
    return f"{status.state} at epoch {status.epoch} of {status.experiment.recipe.epochs}"


def _claims(rows: Sequence[dict[str, Any]]) -> tuple[tuple[int, str, str], ...]:
    found = {(row["claim"], row["rule"]): (row["claim"], row["sentence"], row["verdict"]) for row in rows}
    told = [claim for claim in found.values() if claim[2] not in UNDECIDED]
    return tuple(dict.fromkeys(told))


def _errors(rows: Sequence[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    told = [row for row in rows if row["verdict"] not in UNDECIDED]
    return tuple(dict.fromkeys((f"{row['network']}, {row['dataset']}", row["verdict"]) for row in told))


def _links(store: Store, name: str) -> list[tuple[str, str]]:
    folder = StudyFolder(name)
    pages = (("report", folder.report), ("table", folder.table("md")), ("pictures", folder.gallery))
    return [(words, path) for words, path in pages if store.exists(path)]


def _words(entry: Entry) -> str:
    """The study's relation to the paper, with its scale."""
    return f"{entry.study.relation}: {entry.study.scale}" if entry.study.scale else str(entry.study.relation)


def _runs(entry: Entry) -> str:
    parts = [f"{count} {OUTCOME_WORDS.get(outcome, outcome)}" for outcome, count in sorted(entry.outcomes.items())]
    return ", ".join([*parts, f"{entry.to_come} not finished"]) if entry.to_come else ", ".join(parts)


def _environment() -> Environment:
    loader = PackageLoader("pipeline.publication", ".")
    made = Environment(
        loader=loader, autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["runs"] = _runs
    return made
