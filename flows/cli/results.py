"""The commands that bring what runs have left: tables, and pulls of all of it."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import completion, layout, output
from flows.cli.answers import answered
from flows.cli.hints import command
from flows.cli.options import (
    JsonOption,
    PublishedSeedsOption,
    StoreOption,
    StudyArgument,
    patiently,
    store_of,
)
from pipeline.errors import UserError
from pipeline.evaluation.schema import FILES
from pipeline.plan.studies import study
from pipeline.plan.study import Study
from pipeline.publication.latest import read
from pipeline.publication.pull import pull as fetch
from pipeline.runtime.settings import settings
from pipeline.store.catalogue import published_seeds
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder, StudyFolder

ENDINGS = ("md", "csv", "json", "tex", "html")  # that can be printed


@answered
def table(
    name: StudyArgument,
    ending: Annotated[
        str, typer.Option("--format", autocompletion=completion.formats, help="md, csv, json, tex or html.")
    ] = "md",
    kind: Annotated[
        str,
        typer.Option(
            autocompletion=completion.kinds, help="cells (the errors), rates, claims, baselines (Table 4) or readings."
        ),
    ] = "cells",
    fresh: Annotated[bool, typer.Option("--fresh", help="Make it anew from the results first.")] = False,
    seeds: PublishedSeedsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """A table of the study as it lies in the store, made from its results where none lies there yet."""
    _insist_on_kind(study(name, seeds), kind)
    _table(store_of(store), StudyFolder(name), kind, ending, fresh, seeds, as_json)


@answered
def pull(
    name: StudyArgument,
    to: Annotated[str, typer.Argument(metavar="DEST", help="The folder to fetch into.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the study's tables, page and pictures; what is there and whole already is not fetched again."""
    if not to.strip():
        raise UserError("DEST is empty: name the folder to fetch into, . for the working directory")
    if "://" in to:
        raise UserError(f"DEST is a folder on this machine, not {to}: name one to fetch into")
    _pulled(store_of(store), study(name), Path(to), as_json)


def _insist_on_kind(of: Study, kind: str) -> None:
    """UserError where the study has no table of this kind."""
    if kind == "readings" and not of.every_run:
        raise UserError(f"{of.name} has no table of readings: `strive table readings` has")
    if kind == "claims" and not of.claims:
        raise UserError(f"{of.name} has no claims: its numbers are compared with nothing")
    if of.every_run and kind in ("rates", "claims"):
        raise UserError(f"{of.name} chooses no learning rate and decides no claims: --kind readings has its numbers")


def _table(
    store: Store, folder: StudyFolder, kind: str, ending: str, fresh: bool, seeds: int | None, as_json: bool
) -> None:
    """The latest table of a kind."""
    kind = {"baselines": "neighbours"}.get(kind, kind)  # as it is called in the store
    if kind not in FILES:
        known = ", ".join(FILES).replace("neighbours", "baselines")
        raise UserError(f"--kind must be one of {known}, not {kind!r}")
    if ending not in ENDINGS:
        where = store.url_of(folder.object(f"{FILES[kind]}.parquet"))
        raise UserError(f"--format must be one of {', '.join(ENDINGS)}, not {ending!r}; Parquet is {where}")
    path = folder.object(f"{FILES[kind]}.{'json' if as_json else ending}")
    name = path.removeprefix(f"{folder.top}/")
    text = None if fresh else read(store, folder.name, name)
    if text is None:
        _made(store, folder, seeds)
        text = read(store, folder.name, name)
    if text is None:
        raise UserError(
            f"{store.url_of(path)} is not there, for no run of {folder.name} has come out: "
            f"{command(store, 'reproduce', study(folder.name).on_command_line)} trains them"
        )
    if as_json:
        return output.print_answer({"store": store.url} | json.loads(text), "", True)
    shown = text.decode().rstrip("\n")
    typer.echo(layout.markdown(shown) if ending == "md" and sys.stdout.isatty() else shown)


def _made(store: Store, folder: StudyFolder, seeds: int | None) -> None:
    """Make tables and page, as after runs that were trained without the flows; nothing when none has come out there."""
    chosen = study(folder.name, seeds or published_seeds(store, folder.name))
    if any(store.exists(RunFolder(e.id).result) for e in chosen.wanted):
        from pipeline.publication.publish import publish  # pandas: tables that lie there need none of it

        publish(patiently(store), chosen, settings().price)


def _pulled(store: Store, whole: Study, to: Path, as_json: bool) -> None:
    """What was fetched, and where to begin reading."""
    done = fetch(store, whole.name, to, command(store, "reproduce", whole.on_command_line))
    report = to / StudyFolder(whole.name).report
    text = f"{done.fetched} files fetched ({done.bytes / 1e6:.1f} MB), {done.kept} were there: {report}"
    output.print_answer(
        {"fetched": done.fetched, "kept": done.kept, "bytes": done.bytes, "report": str(report)}, text, as_json
    )
