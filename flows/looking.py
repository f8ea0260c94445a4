"""The commands that look at what runs have left: tables, pulls, pictures, their page."""

from pathlib import Path
from typing import Annotated

import typer

from flows import answers, fetching
from flows.options import (
    ImagesOption,
    JsonOption,
    PublishedSeedsOption,
    SeedsOption,
    StoreOption,
    StudyArgument,
    WorkersOption,
    answered,
    find_run,
    raise_on_sigterm,
    words,
)
from pipeline.paper.refused import Refused
from pipeline.paper.rules import RULES
from pipeline.plan.studies import study
from pipeline.runs.settings import settings
from pipeline.runs.store import StudyFolder, open_store


@answered
def table(
    name: StudyArgument,
    ending: Annotated[str, typer.Option("--format", help="md, csv, json, tex or html.")] = "md",
    kind: Annotated[str, typer.Option(help="cells (the errors), rates, claims or neighbours (Table 4).")] = "cells",
    fresh: Annotated[bool, typer.Option("--fresh", help="Make it anew from the results first.")] = False,
    seeds: PublishedSeedsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """A table of the study as it lies in the store, made from its results where none lies there yet."""
    study(name, seeds)
    fetching.table(open_store(settings(store).store), StudyFolder(name), kind, ending, fresh, seeds, as_json)


@answered
def pull(
    name: StudyArgument,
    to: Annotated[Path, typer.Argument(metavar="DEST", help="The folder to fetch into.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the study's tables, report and pictures; what is there and whole already is not fetched again."""
    study(name)
    fetching.pulled(open_store(settings(store).store), name, to, as_json)


@answered
def figures(
    run: Annotated[str | None, typer.Argument(help="A run's id or its beginning; or give --study.")] = None,
    of_study: Annotated[str | None, typer.Option("--study", help="A study: one run for every number of it.")] = None,
    seeds: SeedsOption = None,
    images: ImagesOption = "10",
    layers: Annotated[
        str | None, typer.Option(help="Whose strongest patches, conv1,conv6.  [default: half and three quarters up]")
    ] = None,
    channels: Annotated[int, typer.Option(help="Most active channels of each layer.")] = 8,
    top: Annotated[int, typer.Option(help="Strongest patches of each channel.")] = 10,
    part: Annotated[str, typer.Option(help="Whose images these patches are of: test or train.")] = "test",
    methods: Annotated[str, typer.Option(help="Of backprop, deconvnet and guided.")] = ",".join(RULES),
    precision: Annotated[str, typer.Option(help="float32, or bfloat16: quicker where it is native.")] = "float32",
    workers: WorkersOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw what finished runs have learned: filters, strongest patches, saliency maps and how far to trust them.

    What is there is not drawn again. About a minute's work is done in this process, more of it on Ray.
    """
    from flows import drawing
    from pipeline.runs.saliency.pictures import Wanted, parse_images

    if (run is None) == (of_study is None):
        raise Refused("name one run, or a study with --study")
    which = parse_images(images)
    wanted = Wanted(which, words(layers), channels, top, part, words(methods) or (), precision=precision)
    configured = settings(store, workers)
    opened = open_store(configured.store)
    chosen = study(of_study, seeds) if of_study else None
    found = drawing.finished_of(opened, chosen) if chosen else [drawing.finished(opened, find_run(opened, run or ""))]
    raise_on_sigterm()
    try:
        drawn = drawing.draw(opened, found, wanted, configured.workers)
    except KeyboardInterrupt:
        typer.echo("\nstrive: stopped. What was drawn is kept; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    answers.drew(drawn | ({"gallery": drawing.hang(opened, chosen)} if chosen else {}), as_json)


@answered
def gallery(
    name: StudyArgument,
    seeds: PublishedSeedsOption = None,
    store: StoreOption = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the page over a study's pictures and print its address; it needs no server and no network."""
    from flows import drawing

    study(name, seeds)
    opened = open_store(settings(store).store)
    chosen = study(name, seeds or fetching.seeds_of(opened, StudyFolder(name)))
    drawing.finished_of(opened, chosen)
    where = drawing.hang(opened, chosen)
    answers.say({"study": name, "gallery": where}, where, as_json)
    if show:
        import webbrowser

        webbrowser.open(where if "://" in where else f"file://{where}")
