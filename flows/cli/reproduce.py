"""`strive reproduce`: the flow in this process, with progress beside it."""

from contextlib import nullcontext
from dataclasses import replace

import typer

from flows.cli.progress_display import Display, console
from flows.foreseen import ONE_SENTENCE
from flows.local_server import prefect_api
from pipeline.integrity.check import check, repair
from pipeline.integrity.fault import Fault
from pipeline.plan.studies import Study
from pipeline.publication import completeness
from pipeline.runtime.limits import cores
from pipeline.runtime.settings import settings
from pipeline.store.objects import RunFolder, Store, StudyFolder
from pipeline.training.progress import Progress, trainable
from pipeline.visualization.catalogue import REPRODUCTION, RenderRequest, parse_images


def to_render(images: str) -> RenderRequest:
    """The pictures that a reproduction draws of every network."""
    return replace(REPRODUCTION, images=parse_images(images))


def is_complete(store: Store, study: Study, images: str) -> bool:
    """Whether nothing of the study is left to do."""
    return completeness.is_complete(store, study, to_render(images), settings().price)


def mend_derived(store: Store, study: Study, whole: bool) -> list[Fault]:
    """Say what is damaged, each in a line; what is made from other objects goes, to be made again. The others are
    returned: they are for `strive check --repair`. Unless `whole`, what is large is judged by its length alone."""
    found = check(store, study, whole).faults
    derived = [fault for fault in found if not fault.again and not fault.aside and fault.can_be_mended]
    for fault in found:
        again = "it is made again" if fault in derived else f"`strive check {study.on_command_line} --repair`"
        typer.echo(f"strive: {fault.address} is damaged: {fault.what}; {again}.", err=True)
    repair(store, derived)
    return [fault for fault in found if fault not in derived]


def reproduce_study(
    store: Store,
    study: Study,
    seeds: int | None,
    workers: int | None,
    data_dir: str | None,
    images: str,
    quiet: bool,
    loud: bool,
) -> dict:
    """Run the flow; returns what it left, as `strive reproduce --json` prints it."""
    count = settings(workers=workers).workers or cores()
    shown = nullcontext() if quiet else Display(store, study, count, console())
    with shown, prefect_api(loud):
        from flows.parameters import StudyName
        from flows.reproduce import reproduce  # prefect and pandas, once the embedded server is on its way

        ONE_SENTENCE.silent = not loud  # we say ourselves how it went
        which = parse_images(images)
        reproduce(
            study=StudyName(study.name),
            seeds=seeds,
            workers=workers,
            store=store.url,
            data_dir=data_dir,
            images=which if isinstance(which, int) else 10,
            image_numbers=None if isinstance(which, int) else list(which),
        )
    return summary_of(store, study)


def summary_of(store: Store, study: Study) -> dict:
    """What `strive reproduce --json` prints, and the main table as Markdown."""
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
        "markdown": store.read(folder.table("md")).decode(),
    }
