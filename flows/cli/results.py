"""The commands that look at what runs have left: tables, pulls, pictures, their page."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import completion, layout, output
from flows.cli.hints import command
from flows.cli.image_words import is_photograph, method_names, words
from flows.cli.options import (
    JsonOption,
    PublishedSeedsOption,
    SeedsOption,
    StoreOption,
    StudyArgument,
    StudyOption,
    WorkersOption,
    answered,
    find_run,
    patiently,
    raise_on_sigterm,
    store_of,
)
from pipeline.errors import UserError
from pipeline.evaluation.schema import FILES
from pipeline.paper.relu_rules import RULES
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
    to: Annotated[Path, typer.Argument(metavar="DEST", help="The folder to fetch into.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the study's tables, report and pictures; what is there and whole already is not fetched again."""
    _pulled(store_of(store), study(name), to, as_json)


@answered
def figures(
    run: Annotated[
        str | None,
        typer.Argument(autocompletion=completion.runs, help="A run's id or its beginning; or give --study."),
    ] = None,
    photos: Annotated[
        list[str] | None, typer.Argument(help="Images of your own to look at, as after --images: files or folders.")
    ] = None,
    of_study: StudyOption = None,
    seeds: SeedsOption = None,
    images: Annotated[
        str,
        typer.Option(
            help="Test images to explain: 10 for as many, class by class; or 0:1000, or 3,17,200:300. Or images of "
            "your own, files and folders (docs/own-images.md)."
        ),
    ] = "10",
    network: Annotated[
        str | None,
        typer.Option(autocompletion=completion.networks, help="Without a run: a network of `strive networks`."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Its weights: a .safetensors or .pth file.")] = None,
    preprocess: Annotated[
        str,
        typer.Option(
            autocompletion=completion.scales,
            help="How images were scaled for these weights: scale (-1 to 1), unit (0 to 1), imagenet.",
        ),
    ] = "scale",
    to: Annotated[Path, typer.Option(help="Folder for the maps of your own images.")] = Path("maps"),
    layers: Annotated[
        str | None,
        typer.Option(help="Layers of the top-activating patches: conv1,conv6.  [default: half and three quarters up]"),
    ] = None,
    channels: Annotated[int, typer.Option(help="Most active channels of each layer.")] = 8,
    top: Annotated[int, typer.Option(help="Top-activating patches of each channel.")] = 10,
    part: Annotated[
        str, typer.Option(autocompletion=completion.parts, help="Whose images these patches are of: test or train.")
    ] = "test",
    methods: Annotated[
        str,
        typer.Option(
            autocompletion=completion.methods, help="Of backprop, deconvnet and guided (also guided-backprop)."
        ),
    ] = ",".join(RULES),
    precision: Annotated[
        str,
        typer.Option(autocompletion=completion.precisions, help="float32, or bfloat16: quicker where it is native."),
    ] = "float32",
    workers: WorkersOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw what finished runs have learned: filters, top-activating patches, saliency maps and how far to trust them.

    What is there is not drawn again. About a minute's work is done in this process, more of it on Ray.
    """
    from flows.cli.figures import draw, finished, finished_of, publish_gallery
    from pipeline.visualization.catalogue import RenderRequest, parse_images

    own = [*([images] if is_photograph(images) else []), *(photos or [])]
    if run and (network or of_study) and is_photograph(run):
        own, run = [*own, run], None
    if own or network or weights:
        if of_study or (run is None) == (network is None) or (network is None) != (weights is None):
            raise UserError("for images of your own name one run, or --network with --weights, and the images")
        opened = store_of(store)
        found = finished(opened, find_run(opened, run)) if run else None
        from flows.cli.own_images import look

        notes = look(opened, found, (network, weights, preprocess), own, method_names(methods), to)
        return output.print_maps(notes, as_json)
    if (run is None) == (of_study is None):
        raise UserError("name one run, or a study with --study")
    which = parse_images(images)
    wanted = RenderRequest(which, words(layers), channels, top, part, method_names(methods), precision=precision)
    configured = settings(store, workers)
    opened = store_of(store)
    chosen = study(of_study, seeds) if of_study else None
    found = finished_of(opened, chosen) if chosen else [finished(opened, find_run(opened, run or ""))]
    raise_on_sigterm()
    try:
        drawn = draw(patiently(opened), found, wanted, configured.workers)
    except KeyboardInterrupt:
        typer.echo("\nstrive: stopped. What was drawn is kept; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    output.print_figures(drawn | ({"gallery": publish_gallery(opened, chosen)} if chosen else {}), as_json)


@answered
def gallery(
    name: StudyArgument,
    seeds: PublishedSeedsOption = None,
    store: StoreOption = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the page over a study's pictures and print its address; it needs no server and no network."""
    from flows.cli.figures import finished_of, publish_gallery

    study(name, seeds)
    opened = store_of(store)
    if show and "://" in opened.url:
        fetched = command(opened, "pull", study(name).on_command_line, "here")
        raise UserError(f"a page in {opened.url} cannot be opened from here: {fetched} brings it to this machine")
    chosen = study(name, seeds or published_seeds(opened, name))
    finished_of(opened, chosen)
    where = publish_gallery(opened, chosen)
    output.print_answer({"study": name, "gallery": where}, where, as_json)
    if show:
        import webbrowser

        webbrowser.open(where if "://" in where else f"file://{where}")


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
    done, folder = (
        fetch(store, whole.name, to, command(store, "reproduce", whole.on_command_line)),
        StudyFolder(whole.name),
    )
    report = to / folder.report
    text = f"{done.fetched} files fetched ({done.bytes / 1e6:.1f} MB), {done.kept} were there: {report}"
    output.print_answer(
        {"fetched": done.fetched, "kept": done.kept, "bytes": done.bytes, "report": str(report)}, text, as_json
    )
