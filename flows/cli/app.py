"""The command `strive`. Light at the top: torch, ray, prefect and pandas are imported by commands that need them."""

import os
from typing import Annotated

import typer

from flows.cli import output
from flows.cli.options import (
    DataDirOption,
    ImagesOption,
    JsonOption,
    RunArgument,
    SeedsOption,
    StoreOption,
    StudyArgument,
    WorkersOption,
    answered,
    find_run,
    raise_on_sigterm,
)
from flows.cli.results import figures, gallery, pull, table
from pipeline.errors import UserError, unknown_name
from pipeline.paper.networks import NETWORKS
from pipeline.plan.studies import Study, study
from pipeline.runtime.settings import settings
from pipeline.store.objects import RunFolder, open_store

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
        return output.plan(opened, chosen, settings(None, workers).workers, as_json)
    from flows.cli.reproduce import is_complete, reproduce_study, summary_of, to_render
    from pipeline.visualization.catalogue import check_request, runs_of

    check_request(runs_of(chosen), to_render(images))
    if is_complete(opened, chosen, images):
        summary = summary_of(opened, chosen)
        if not (quiet or as_json):
            typer.echo(f"All of {chosen.name} is there and whole: nothing was trained or drawn.\n")
        return _finish(chosen, summary, quiet, as_json)
    from flows.cli.doctor import insist

    insist(store, data_dir, dict.fromkeys(e.dataset for e in chosen.wanted))  # before a server is started for nothing
    raise_on_sigterm()
    try:
        summary = reproduce_study(opened, chosen, seeds, workers, data_dir, images, quiet or as_json, loud)
    except KeyboardInterrupt:
        typer.echo(f"\nstrive: stopped. {output.print_pulled(opened, chosen)}", err=True)
        raise typer.Exit(130) from None
    except SystemExit:
        typer.echo(f"\nstrive: terminated. {output.print_pulled(opened, chosen)}", err=True)
        raise
    _finish(chosen, summary, quiet, as_json)


def _finish(chosen: Study, summary: dict, quiet: bool, as_json: bool) -> None:
    """Say what the study's store holds now; exit code 3 when a run has no error to show."""
    output.print_reproduction(chosen, summary, quiet, as_json)
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
    output.plan(open_store(configured.store), chosen, configured.workers, as_json)


@app.command()
@answered
def status(
    name: StudyArgument,
    seeds: SeedsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far a study is: who works on which run, which epoch, what came out."""
    output.status(open_store(settings(store).store), study(name, seeds), as_json)


for look in (table, pull, figures, gallery):
    app.command()(look)


@app.command()
@answered
def networks(
    name: Annotated[str | None, typer.Argument(help="A network's name; leave it out for the list.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The paper's networks, layer by layer, with output shapes and parameters."""
    if name is not None and name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    output.networks([NETWORKS[name]] if name else list(NETWORKS.values()), as_json)


@app.command()
@answered
def run(
    run: RunArgument, store: StoreOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Train one experiment in this process, without Ray and without Prefect."""
    configured = settings(store, data_dir=data_dir)
    opened = open_store(configured.store)
    experiment = find_run(opened, run)
    from flows.cli.run import train_here

    raise_on_sigterm()
    try:
        standing = train_here(opened, experiment, configured.data_dir, quiet=as_json)
    except KeyboardInterrupt:
        typer.echo(f"\nstrive: stopped. Its checkpoints are kept; `strive run {experiment.id}` goes on.", err=True)
        raise typer.Exit(130) from None
    output.print_run(standing, opened, as_json)
    if standing.state != "done":
        raise typer.Exit(3)


@app.command()
@answered
def work(
    name: StudyArgument, seeds: SeedsOption = None, store: StoreOption = None, data_dir: DataDirOption = None
) -> None:
    """Train a study's missing runs one after the other in this process, without Ray and without Prefect.

    Start it once for every core or host that shall help: each process takes what no other works on.
    """
    configured = settings(store, data_dir=data_dir)
    opened, wanted = open_store(configured.store), study(name, seeds)
    from flows.cli.run import work_here

    raise_on_sigterm()
    work_here(opened, wanted, configured.data_dir, typer.echo)


@app.command()
@answered
def retry(run: RunArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Let a crashed or diverged run be tried again; it goes on from its last checkpoint."""
    opened = open_store(settings(store).store)
    experiment = find_run(opened, run)
    from pipeline.training import leases

    if not leases.retry(opened, RunFolder(experiment.id)):
        state = output.status_of(opened, experiment).state
        raise UserError(f"{experiment.id} is {state}: only a crashed or diverged run can be tried again")
    text = f"{experiment.id} is missing again: `strive run {experiment.id}` or `strive reproduce` will train it"
    output.print_answer({"run": experiment.id, "state": "missing"}, text, as_json)


@app.command()
@answered
def serve() -> None:
    """Register the flows with the Prefect server of PREFECT_API_URL and run what is triggered or scheduled there."""
    from flows.local_server import QUIET

    _serve_all(QUIET)


@app.command()
@answered
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Two minutes on two cores; otherwise eight.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the training steps beside a plain loop, and all that surrounds them, on this machine."""
    opened = open_store(settings(store).store)
    from flows.cli.doctor import insist
    from pipeline.bench.measure import measure

    insist(store, None)  # before minutes are measured that could not be kept
    found = measure(opened, quick, lambda line: None if as_json else typer.echo(line))
    output.print_bench(found, as_json)


@app.command()
@answered
def doctor(store: StoreOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Check what the other commands need, and say how to mend what is missing."""
    from flows.cli.doctor import examine_all

    checks = examine_all(store, data_dir)
    output.print_checks(checks, as_json)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _serve_all(quiet: dict[str, str]) -> None:
    """Serve until stopped; refused where no Prefect server is configured."""
    for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED"):
        os.environ.setdefault(name, quiet[name])
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise UserError(
            "no Prefect server is configured. Start one with `prefect server start`, "
            "then set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    from flows.deployments import serve_all as serve

    serve()


def main() -> None:
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
