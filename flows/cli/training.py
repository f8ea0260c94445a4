"""The commands that train in this process, without Ray and Prefect: one run, a study's runs, and a retry."""

from typing import Annotated

import typer

from flows.cli import completion, output, runs
from flows.cli.answers import answered, interruptible
from flows.cli.hints import command
from flows.cli.options import (
    AugmentedOption,
    BatchOption,
    DataDirOption,
    DataOption,
    EpochsOption,
    JsonOption,
    LearningRateOption,
    NetworkOption,
    OneRunArgument,
    PreprocessOption,
    RunArgument,
    SeedOption,
    SeedsOption,
    SideOption,
    StoreOption,
    StudyArgument,
    WidthOption,
    YesOption,
    confirm,
    find_dataset,
    find_run,
    insist_on_range,
    patiently,
    store_of,
)
from pipeline.errors import UserError
from pipeline.paper.networks import find_network
from pipeline.plan.one_run import one_run
from pipeline.plan.studies import study
from pipeline.plan.study import part_of
from pipeline.runtime.settings import settings
from pipeline.store.paths import RunFolder

OF_OWN_RUNS = ("width", "epochs", "batch", "learning_rate", "data", "side", "augmented", "preprocess", "seed")


@answered
def run(
    given: typer.Context,
    run: OneRunArgument = None,
    network: NetworkOption = None,
    width: WidthOption = "1",
    epochs: EpochsOption = None,
    batch: BatchOption = None,
    learning_rate: LearningRateOption = None,
    data: DataOption = "cifar10",
    side: SideOption = None,
    augmented: AugmentedOption = False,
    preprocess: PreprocessOption = None,
    seed: SeedOption = 0,
    store: StoreOption = None,
    data_dir: DataDirOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train one experiment in this process, without Ray and without Prefect: a study's run, or one of your own.

    It says the run's id and the estimated time first, and asks before more than an hour of work.
    """
    configured = settings(store, data_dir=data_dir)
    opened = store_of(store)
    if (run is None) == (network is None):
        raise UserError("name one run by its id, or make one with --network and the options below it")
    _insist_on_ranges(learning_rate, epochs, batch, seed)
    if run is not None:
        _insist_on_no_option_of_own_runs(given)
    if network is None:
        experiment = find_run(opened, run or "")
    else:
        recipe = (width, epochs, batch, learning_rate, augmented, preprocess, seed)
        experiment = one_run(find_network(network), find_dataset(data, side), *recipe)
    from flows.cli.doctor import insist_on_data
    from flows.cli.run import estimate, stopped, train_here, unprepared

    if (seconds := estimate([output.status_of(opened, experiment)])) > 0:
        insist_on_data(unprepared(opened, [experiment]), configured.data_dir)
        confirm(experiment.id, seconds, yes)
    with interruptible(lambda: stopped(opened, experiment)):
        if network is not None:  # from now on its id can be named
            opened.create_json(RunFolder(experiment.id).experiment, experiment.plain())
        standing = train_here(patiently(opened), experiment, configured.data_dir, quiet=as_json)
    output.print_run(standing, opened, as_json)
    if standing.state != "done":
        raise typer.Exit(3)


def _insist_on_ranges(learning_rate: float | None, epochs: int | None, batch: int | None, seed: int) -> None:
    insist_on_range("--learning-rate", learning_rate, 1e-12, 1_000_000)
    insist_on_range("--epochs", epochs, 1, 1_000_000)
    insist_on_range("--batch", batch, 1, 1_000_000)
    insist_on_range("--seed", seed, 0, 2**32 - 1)


def _insist_on_no_option_of_own_runs(given: typer.Context) -> None:
    """UserError where the command has an option that a run's id answers already."""
    for name in OF_OWN_RUNS:
        source = given.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is for a run of your own, with --network: a run's id says all about it")


@answered
def work(
    name: StudyArgument,
    network: Annotated[
        str | None, typer.Option(autocompletion=completion.networks, help="Train the runs of this network alone.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Train the runs at this learning rate alone.")
    ] = None,
    without_validation: Annotated[
        bool, typer.Option("--without-validation", help="Leave out the search on validation images.")
    ] = False,
    seeds: SeedsOption = None,
    store: StoreOption = None,
    data_dir: DataDirOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a study's missing runs one after the other in this process, without Ray and without Prefect.

    Start it on every core or host that should help: each process takes runs that no other is training. It says the
    estimated time first, and asks before more than an hour of work.
    """
    configured = settings(store, data_dir=data_dir)
    opened = store_of(store)
    wanted = part_of(study(name, seeds), network, learning_rate, not without_validation)
    from flows.cli.doctor import insist_on_data
    from flows.cli.run import estimate, unprepared, work_here
    from pipeline.training.progress import Progress, trainable

    todo = trainable(wanted, Progress(opened, list(wanted.wanted)).statuses())
    if not todo and not as_json:
        typer.echo(f"Every run of {wanted.name} that is needed has its outcome: nothing is left to train.")
    if (seconds := estimate(todo)) > 0:
        insist_on_data(unprepared(opened, [s.experiment for s in todo]), configured.data_dir)
        confirm(f"{len(todo)} runs of {name}", seconds, yes)
    with interruptible(lambda: output.kept(opened, wanted)):
        if todo:
            work_here(patiently(opened), wanted, configured.data_dir, typer.echo, quiet=as_json)
    statuses = Progress(opened, list(wanted.wanted)).statuses()
    ended = [s.plain() for s in statuses if s.has_outcome]
    if as_json:
        output.print_answer(runs.answer(opened, wanted, statuses), "", True)
    else:
        runs.print_failed(opened, ended)
    if any(one["state"] != "done" for one in ended):
        raise typer.Exit(3)


@answered
def retry(run: RunArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Let a run that crashed, diverged or did not learn be tried again; it goes on from its last checkpoint."""
    opened = store_of(store)
    experiment = find_run(opened, run)
    from pipeline.training import attempts

    if not attempts.retry(opened, RunFolder(experiment.id)):
        state = output.status_of(opened, experiment).state
        raise UserError(f"{experiment.id} is {state}: only one that crashed, diverged or did not learn can be retried")
    text = (
        f"{experiment.id} is missing again: {command(opened, 'run', experiment.id)} or `strive reproduce` will train it"
    )
    output.print_answer({"run": experiment.id, "state": "missing"}, text, as_json)
