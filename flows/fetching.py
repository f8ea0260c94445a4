"""What `strive table` and `strive pull` answer: published things as they lie in the store."""

from pathlib import Path

import typer

from flows.answers import say
from pipeline.paper.refused import Refused
from pipeline.plan.studies import study
from pipeline.runs.pull import pull
from pipeline.runs.settings import settings
from pipeline.runs.store import RunFolder, Store, StudyFolder
from pipeline.runs.tables.columns import FILES

ENDINGS = ("md", "csv", "json", "tex", "html")  # that can be printed


def table(
    store: Store, folder: StudyFolder, kind: str, ending: str, fresh: bool, seeds: int | None, as_json: bool
) -> None:
    """The latest table of a kind."""
    if kind not in FILES:
        raise Refused(f"--kind must be one of {', '.join(FILES)}, not {kind!r}")
    if ending not in ENDINGS:
        where = store.where(folder.object(f"{FILES[kind]}.parquet"))
        raise Refused(f"--format must be one of {', '.join(ENDINGS)}, not {ending!r}; Parquet is {where}")
    path = folder.object(f"{FILES[kind]}.{'json' if as_json else ending}")
    if fresh or not store.exists(path):
        _made(store, folder, seeds)
    text = store.find(path)
    if text is None:
        raise Refused(
            f"{store.where(path)} is not there, for no run of {folder.name} has come out: "
            f"`strive reproduce {folder.name}` trains them"
        )
    if as_json:
        return say({"store": store.url} | store.read_json(path), "", True)
    typer.echo(text.decode().rstrip("\n"))


def _made(store: Store, folder: StudyFolder, seeds: int | None) -> None:
    """Make tables and page, as after runs that were trained without the flows; nothing when none has come out there."""
    chosen = study(folder.name, seeds or seeds_of(store, folder))
    if any(store.exists(RunFolder(e.id).result) for e in chosen.wanted):
        from pipeline.runs.report.publication import publish  # pandas: tables that lie there need none of it

        publish(store, chosen, settings().price)


def seeds_of(store: Store, folder: StudyFolder) -> int | None:
    """As many seeds as the tables that lie there have; None where there are none."""
    listed = (store.find_json(folder.manifest) or {}).get("runs", [])
    return max((1 + int(id.rsplit(".", 2)[1].removeprefix("s")) for id in listed), default=None)


def pulled(store: Store, name: str, to: Path, as_json: bool) -> None:
    """What was fetched, and where to begin reading."""
    done, folder = pull(store, name, to), StudyFolder(name)
    report = to / folder.report
    text = f"{done.fetched} files fetched ({done.bytes / 1e6:.1f} MB), {done.kept} were there: {report}"
    say({"fetched": done.fetched, "kept": done.kept, "bytes": done.bytes, "report": str(report)}, text, as_json)
