"""The command `strive`. Light at the top: torch, ray, prefect and pandas are imported by commands that need them."""

from typing import Annotated

import typer

from flows.cli import output
from flows.cli.answers import answered, interruptible
from flows.cli.check import check
from flows.cli.hints import command
from flows.cli.machine import bench, doctor
from flows.cli.options import (
    DataDirOption,
    ImagesOption,
    JsonOption,
    ReplicateOption,
    SeedsOption,
    StoreOption,
    StudyArgument,
    WorkersOption,
    how_many,
    patiently,
    store_of,
)
from flows.cli.pictures import figures, gallery
from flows.cli.planning import networks, plan, status
from flows.cli.results import pull, table
from flows.cli.training import retry, run, work
from flows.cli.usage import Commands
from pipeline.errors import UserError
from pipeline.plan.studies import study
from pipeline.plan.study import Study
from pipeline.runtime.bytecode import keep_bytecode
from pipeline.runtime.environment import bypass_proxies_on_loopback
from pipeline.runtime.limits import limit_threads
from pipeline.runtime.settings import settings
from pipeline.store.catalogue import seeds_to_plan
from pipeline.store.objects import Store

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    help="""Reproduce *Striving for Simplicity: The All Convolutional Net* (arXiv 1412.6806).

Start with `strive reproduce`: it trains the paper's twelve networks, small, on handwritten digits, in minutes on a
laptop, and leaves a table and pictures in the store. `strive plan digits` shows beforehand what that will cost.

**Exit codes**: 0 done; 1 a bug in strive, or a failure of the machine; 2 the request cannot be met as it stands;
3 done, but a run diverged, did not learn, crashed, is damaged or has drifted; 129, 130 and 143 stopped by SIGHUP,
Ctrl-C and SIGTERM.""",
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        from pipeline.runtime.commit import code_commit

        typer.echo(f"strive {version('strive')}, commit {code_commit()}")
        raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print version and commit.")
    ] = False,
) -> None:
    limit_threads()
    bypass_proxies_on_loopback()  # of S3 clients and Ray


REPRODUCE_EXAMPLES = (
    "Examples: `strive reproduce`, `strive reproduce table-3 --seeds 2 --store s3://bucket/strive`, "
    "`strive reproduce digits --replicate 2`"
)


@app.command(epilog=REPRODUCE_EXAMPLES)
@answered
def reproduce(
    name: StudyArgument = "digits",
    seeds: SeedsOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    data_dir: DataDirOption = None,
    images: ImagesOption = "10",
    replicate: ReplicateOption = None,
    check_all: Annotated[
        bool, typer.Option("--check", help="Read every object of the study first, as `strive check` does.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what `strive plan` prints.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    loud: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Prepare the data, train every missing run, verify, tabulate, render.

    What the store holds already is not done again: stop it when you like, and the same command goes on from there.
    """
    settings(workers=workers)  # refused before the store is looked into
    again = how_many(replicate)
    opened = store_of(store)
    chosen = study(name, seeds := seeds_to_plan(opened, name, seeds))
    if dry_run:
        return output.plan(opened, chosen, settings(None, workers).workers, every=False, as_json=as_json)
    from flows.cli.reproduce import Asked, fix_derived, is_complete, reproduce_study, summary_of, to_render
    from pipeline.visualization.catalogue import check_request, runs_of

    check_request(runs_of(chosen), to_render(images))
    damaged = fix_derived(opened, chosen, check_all)
    if not damaged and not again and is_complete(opened, chosen, images):
        summary = summary_of(opened, chosen)
        if not (quiet or as_json):
            typer.echo(f"All of {chosen.name} is there and whole: nothing was trained or drawn.\n")
        return _finish(opened, chosen, summary, quiet, as_json)
    if check_all and damaged:
        repairs = command(opened, "check", chosen.on_command_line, "--repair")
        raise UserError(f"{len(damaged)} objects are damaged: {repairs} first")
    from flows.cli.doctor import insist

    datasets = dict.fromkeys(e.dataset for e in chosen.wanted)
    insist(store, data_dir, datasets, workers)  # before a server is started for nothing
    with interruptible(lambda: output.kept(opened, chosen)):
        asked = Asked(seeds, workers, data_dir, images, again)
        summary = reproduce_study(patiently(opened), chosen, asked, quiet or as_json, loud)
    _finish(opened, chosen, summary, quiet, as_json)


def _finish(store: Store, chosen: Study, summary: dict, quiet: bool, as_json: bool) -> None:
    """Say what the study's store holds now; exit code 3 when a run has no error to show or has drifted."""
    output.print_reproduction(store, chosen, summary, quiet, as_json)
    drifted = any(found["comparison"] == "drifted" for found in summary["replicated"])
    if drifted or any(run["state"] != "done" for run in summary["runs"]):
        raise typer.Exit(3)


@answered
def index(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Write the front page of a store: its studies, how far each is, what came of it, links to their pages."""
    opened = store_of(store)
    if not opened.names("runs"):
        raise UserError(f"{opened.url} holds no runs, so it needs no front page: name another with --store")
    from pipeline.publication.index import write_index

    where = write_index(opened)
    output.print_answer({"store": opened.url, "index": where}, where, as_json)


@answered
def serve() -> None:
    """Register the flows with the Prefect server of PREFECT_API_URL and run what is triggered or scheduled there."""
    from flows.cli.serve import serve_all

    serve_all()


COMMANDS = {  # after `reproduce`, in the order of `strive --help`, with examples
    plan: "`strive plan digits`, `strive plan table-3 --workers 8 --all`",
    status: "`strive status`, `strive status digits`, `strive status model-a.digits.lr0.004.s0`",
    table: "`strive table digits`, `strive table table-3 --kind claims --format csv`",
    pull: "`strive pull digits here --store s3://bucket/strive`",
    figures: "`strive figures --study digits --images 0:100`, `strive figures model-a.digits`",
    gallery: "`strive gallery digits --open`",
    networks: "`strive networks`, `strive networks All-CNN-C`, `strive networks my_study.py`",
    run: "`strive run model-a.digits.lr0.004.s0`, `strive run --network all-cnn-c --width 1/2 --epochs 50 "
    "--batch 256 --learning-rate 0.05 --data cifar10 --seed 0 --yes`",
    work: "`strive work digits`, `strive work table-3 --store s3://bucket/strive --yes`",
    retry: "`strive retry model-a.digits.lr0.004.s0`",
    check: "`strive check digits`, `strive check digits --repair`, `strive check --store results`",
    index: "`strive index`, `strive index --store s3://bucket/strive`",
    serve: "`PREFECT_API_URL=http://127.0.0.1:4200/api strive serve`",
    bench: "`strive bench --quick`, `strive bench --json`, `strive bench --requests 100x1000`",
    doctor: "`strive doctor`, `strive doctor --data-dir /data/cifar --store s3://bucket/strive`",
}
for does, examples in COMMANDS.items():
    app.command(epilog=f"Examples: {examples}" if "`, `" in examples else f"Example: {examples}")(does)


def main() -> None:
    """Entry point of the command."""
    keep_bytecode()
    app()


if __name__ == "__main__":
    main()
