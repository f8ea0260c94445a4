"""`strive reproduce`: the flow in this process, with progress beside it."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace

import typer

from flows.cli.hints import command
from flows.cli.progress_display import Display, console
from flows.foreseen import ONE_SENTENCE
from flows.local_server import prefect_api
from pipeline.integrity.check import check, repair
from pipeline.integrity.fault import Fault
from pipeline.plan.schedule import needed
from pipeline.plan.studies import Study
from pipeline.publication import completeness
from pipeline.records.replication import Replication
from pipeline.runtime.driver import standing_by
from pipeline.runtime.limits import cores
from pipeline.runtime.ray_check import is_joined
from pipeline.runtime.settings import settings
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder, StudyFolder
from pipeline.store.replications import names
from pipeline.training.progress import Progress, results, trainable
from pipeline.visualization.catalogue import REPRODUCTION, RenderRequest, parse_images


def to_render(images: str) -> RenderRequest:
    """The pictures that a reproduction draws of every network."""
    return replace(REPRODUCTION, images=parse_images(images))


def is_complete(store: Store, study: Study, images: str) -> bool:
    """Whether nothing of the study is left to do."""
    return completeness.is_complete(store, study, to_render(images), settings().price)


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a reproduction."""

    seeds: int | None
    workers: int | None
    data_dir: str | None
    images: str
    replicate: int | None  # finished runs to train again


def fix_derived(store: Store, study: Study, whole: bool) -> list[Fault]:
    """Say what is damaged, each in a line; what is made from other objects goes, to be made again. The others are
    returned: they are for `strive check --repair`. Unless `whole`, what is large is judged by its length alone."""
    found = check(store, study, whole).faults
    derived = [fault for fault in found if not fault.again and not fault.aside and fault.can_be_fixed]
    for fault in found:
        repairs = command(store, "check", study.on_command_line, "--repair")
        again = "it is made again" if fault in derived else repairs
        typer.echo(f"strive: {fault.address} is damaged: {fault.what}; {again}.", err=True)
    repair(store, derived)
    return [fault for fault in found if fault not in derived]


def reproduce_study(store: Store, study: Study, asked: Asked, quiet: bool, loud: bool) -> dict:
    """Run the flow; returns what it left, as `strive reproduce --json` prints it."""
    count = settings(workers=asked.workers).workers or cores()
    shown = nullcontext() if quiet else Display(store, study, count, console())
    before = set(names(store, [e.id for e in study.wanted]))
    with shown, _fleet_on_its_way(store, study, asked.workers), prefect_api(loud, _import_flows):
        from prefect.exceptions import FailedRun

        from flows.parameters import StudyName
        from flows.reproduce import reproduce

        ONE_SENTENCE.silent = not loud  # we say ourselves how it went
        which = parse_images(asked.images)
        with suppress(FailedRun):  # runs that crashed or drifted: the summary tells of them
            reproduce(
                study=StudyName(study.name),
                seeds=asked.seeds,
                replicate=asked.replicate,
                workers=asked.workers,
                store=store.url,
                data_dir=asked.data_dir,
                images=which if isinstance(which, int) else 10,
                image_numbers=None if isinstance(which, int) else list(which),
            )
    return summary_of(store, study, before)


def _import_flows() -> None:
    import flows.reproduce  # noqa: F401  # prefect, pandas, torch: seconds


@contextmanager
def _fleet_on_its_way(store: Store, study: Study, workers: int | None) -> Iterator[None]:
    """Ray starts while we import and prepare, where there is something to train on a cluster of our own."""
    missing = needed(study, results(Progress(store, list(study.wanted)).statuses()))
    if missing and not is_joined():
        with standing_by("pipeline.training.fleet", settings(workers=workers).workers):
            yield
    else:
        yield


def summary_of(store: Store, study: Study, replicated: Collection[str] | None = None) -> dict:
    """What `strive reproduce --json` prints, and the main table as Markdown.

    `replicated` are the records of replications that were there before; None: there are no new ones.
    """
    folder = StudyFolder(study.name)
    standings = Progress(store, list(study.wanted)).statuses()
    open_ids = {s.experiment.id for s in trainable(study, standings)}
    standings = [s for s in standings if s.has_outcome or s.experiment.id in open_ids]
    done = [s.experiment.id for s in standings if s.state == "done"]
    return {
        "study": study.name,
        "store": store.url,
        "report": store.url_of(folder.report),
        "table": {
            ending: store.url_of(folder.table(ending)) for ending in ("parquet", "csv", "json", "md", "tex", "html")
        },
        "figures": [store.url_of(RunFolder(id).figures) for id in done],
        "gallery": store.url_of(folder.gallery),
        "runs": [s.plain() for s in standings],
        "replicated": [] if replicated is None else _new(store, study, replicated),
        "markdown": store.read(folder.table("md")).decode(),
    }


def _new(store: Store, study: Study, before: Collection[str]) -> list[dict]:
    """How the runs came out that were trained again."""
    new = [path for path in names(store, [e.id for e in study.wanted]) if path not in before]
    found = [(path.split("/")[1], store.read_record(Replication, path)) for path in new]
    return [{"run": id, "comparison": one.comparison, "why": one.why} for id, one in found]
