"""The command `strive`. Light at the top: torch, ray, prefect and pandas are imported by commands that need them."""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import answers, fetching
from pipeline.paper.networks import NETWORKS
from pipeline.paper.refused import Refused, unknown
from pipeline.paper.rules import RULES
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import STUDIES, study
from pipeline.runs.settings import settings
from pipeline.runs.store import RunFolder, Store, StudyFolder, open_store

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    help="""Reproduce *Striving for Simplicity: The All Convolutional Net* (arXiv 1412.6806).

Start with `strive reproduce`: it trains the paper's twelve networks, small, on handwritten digits, in minutes on a
laptop, and leaves a table and pictures in the store. `strive plan digits` shows beforehand what that will cost.

**Exit codes**: 0 done; 1 an error of ours or of the machine; 2 the request cannot be met as it stands;
3 done, but a run diverged or crashed; 130 and 143 stopped by Ctrl-C and by SIGTERM.""",
)

# what a study, a run, a store are, said once for every command
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help=f"The study: {', '.join(STUDIES)}.")]
RunArgument = Annotated[str, typer.Argument(help="The run's id as `strive plan` prints it, or its beginning.")]
StoreOption = Annotated[
    str | None, typer.Option(help="Folder or s3://bucket/prefix.  [default: $STRIVE_STORE, else ./strive-store]")
]
SeedsOption = Annotated[
    int | None, typer.Option(help="Seeds 0 to this less one.  [default: the study's own, 1 for digits, 5 for table-3]")
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Training processes.  [default: one for every GPU, else every CPU core]")
]
DataDirOption = Annotated[
    str | None,
    typer.Option(help="Folder with the published data sets.  [default: $STRIVE_DATA_DIR, else they are downloaded]"),
]
ImagesOption = Annotated[
    str, typer.Option(help="Test images to map: 10, of every class in turn; or 0:1000, or 3,17,200:300.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead; its keys are stable.")]


def answered(command: Callable) -> Callable:
    """Turn a refusal into a sentence and exit code 2, a failure of the work into one and exit code 1."""

    @wraps(command)
    def run(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except Refused as refused:
            typer.echo(f"strive: {refused}", err=True)
            raise typer.Exit(2) from refused
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except (OSError, RuntimeError, ValueError) as failure:
            typer.echo(f"strive: {type(failure).__name__}: {failure}", err=True)
            raise typer.Exit(1) from failure

    return run


@app.command()
@answered
def reproduce(
    name: StudyArgument = "digits",
    seeds: SeedsOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    data_dir: DataDirOption = None,
    images: ImagesOption = "10",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what `strive plan` prints.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    loud: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Prepare the data, train every missing run, verify, tabulate, render.

    What the store holds already is not done again: stop it when you like, and the same command goes on from there.
    """
    chosen, opened = study(name, seeds), open_store(settings(store, workers).store)
    if dry_run:
        return answers.plan(opened, chosen, settings(None, workers).workers, as_json)
    from flows.main_job import reproduce_study
    from pipeline.runs.pictures import Wanted, fitting, parse_images, runs_of

    fitting(runs_of(chosen), Wanted(parse_images(images)))
    _raise_on_sigterm()
    try:
        summary = reproduce_study(opened, chosen, seeds, workers, data_dir, images, quiet or as_json, loud)
    except KeyboardInterrupt:
        typer.echo(f"\nstrive: stopped. {answers.kept(opened, chosen)}", err=True)
        raise typer.Exit(130) from None
    except SystemExit:
        typer.echo(f"\nstrive: terminated. {answers.kept(opened, chosen)}", err=True)
        raise
    answers.reproduced(chosen, summary, quiet, as_json)
    if any(run["state"] != "done" for run in summary["runs"]):
        raise typer.Exit(3)


@app.command()
@answered
def plan(
    name: StudyArgument,
    seeds: SeedsOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """The runs of a study, their state, and what the missing ones will cost. Spends nothing."""
    chosen, configured = study(name, seeds), settings(store, workers)
    answers.plan(open_store(configured.store), chosen, configured.workers, as_json)


@app.command()
@answered
def status(
    name: StudyArgument,
    seeds: SeedsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far a study is: who works on which run, which epoch, what came out."""
    answers.status(open_store(settings(store).store), study(name, seeds), as_json)


@app.command()
@answered
def table(
    name: StudyArgument,
    ending: Annotated[str, typer.Option("--format", help="md, csv, json, tex or html.")] = "md",
    kind: Annotated[str, typer.Option(help="cells (the errors), rates, claims or neighbours (Table 4).")] = "cells",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """A table of the study as `strive reproduce` left it in the store."""
    study(name)
    fetching.table(open_store(settings(store).store), StudyFolder(name), kind, ending, as_json)


@app.command()
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


@app.command()
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
    from pipeline.runs.pictures import Wanted, parse_images

    if (run is None) == (of_study is None):
        raise Refused("name one run, or a study with --study")
    wanted = Wanted(parse_images(images), _words(layers), channels, top, _words(methods) or (), precision=precision)
    configured = settings(store, workers)
    opened = open_store(configured.store)
    chosen = study(of_study, seeds) if of_study else None
    found = drawing.finished_of(opened, chosen) if chosen else [drawing.finished(opened, _find(opened, run or ""))]
    _raise_on_sigterm()
    try:
        drawn = drawing.draw(opened, found, wanted, configured.workers)
    except KeyboardInterrupt:
        typer.echo("\nstrive: stopped. What was drawn is kept; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    answers.drew(drawn | ({"gallery": drawing.hang(opened, chosen)} if chosen else {}), as_json)


@app.command()
@answered
def gallery(
    name: StudyArgument,
    seeds: SeedsOption = None,
    store: StoreOption = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the page over a study's pictures and print its address; it needs no server and no network."""
    from flows import drawing

    opened, chosen = open_store(settings(store).store), study(name, seeds)
    drawing.finished_of(opened, chosen)
    where = drawing.hang(opened, chosen)
    answers.say({"study": name, "gallery": where}, where, as_json)
    if show:
        import webbrowser

        webbrowser.open(where if "://" in where else f"file://{where}")


@app.command()
@answered
def networks(
    name: Annotated[str | None, typer.Argument(help="A network's name; leave it out for the list.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The paper's networks, layer by layer, with output shapes and parameters."""
    if name is not None and name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    answers.networks([NETWORKS[name]] if name else list(NETWORKS.values()), as_json)


@app.command()
@answered
def run(
    run: RunArgument, store: StoreOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Train one experiment in this process, without Ray and without Prefect."""
    configured = settings(store, data_dir=data_dir)
    opened = open_store(configured.store)
    experiment = _find(opened, run)
    from flows.one_run import train_here

    _raise_on_sigterm()
    try:
        standing = train_here(opened, experiment, configured.data_dir, quiet=as_json)
    except KeyboardInterrupt:
        typer.echo(f"\nstrive: stopped. Its checkpoints are kept; `strive run {experiment.id}` goes on.", err=True)
        raise typer.Exit(130) from None
    answers.ran(standing, opened, as_json)
    if standing.state != "done":
        raise typer.Exit(3)


@app.command()
@answered
def retry(run: RunArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Let a crashed or diverged run be tried again; it goes on from its last checkpoint."""
    opened = open_store(settings(store).store)
    experiment = _find(opened, run)
    from pipeline.runs import claims

    if not claims.retry(opened, RunFolder(experiment.id)):
        state = answers.standing(opened, experiment).state
        raise Refused(f"{experiment.id} is {state}: only a crashed or diverged run can be tried again")
    text = f"{experiment.id} is missing again: `strive run {experiment.id}` or `strive reproduce` will train it"
    answers.say({"run": experiment.id, "state": "missing"}, text, as_json)


@app.command()
@answered
def serve() -> None:
    """Register the flows with the Prefect server of PREFECT_API_URL and run what is triggered or scheduled there."""
    from flows.embedded import QUIET
    from flows.serving import serve_all

    serve_all(QUIET)


@app.command()
@answered
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Two minutes on two cores; otherwise twenty.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the training steps beside a plain loop, and all that surrounds them, on this machine."""
    opened = open_store(settings(store).store)
    from pipeline.runs.bench.report import measure

    found = measure(opened, quick, lambda line: None if as_json else typer.echo(line))
    answers.measured(found, as_json)


@app.command()
@answered
def doctor(store: StoreOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Check what the other commands need, and say how to mend what is missing."""
    from flows.checkup import examine_all

    checks = examine_all(store, data_dir)
    answers.examined(checks, as_json)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _find(store: Store, text: str) -> Experiment:
    """The experiment whose id begins so, among the studies' and the store's."""
    from pipeline.runs.catalogue import find

    return find(store, text)


def _words(text: str | None) -> tuple[str, ...] | None:
    """A list with commas; None for none."""
    return tuple(word.strip() for word in text.split(",") if word.strip()) if text else None


def _raise_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that everything we started is stopped."""

    def unwind(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, unwind)


def main() -> None:
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
