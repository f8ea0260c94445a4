"""`strive figures` and `strive gallery`: pictures and pages without Prefect."""

import typer

from flows.cli.doctor import insist_on_data
from flows.cli.hints import command
from pipeline.errors import UserError
from pipeline.evaluation.results import Run
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.publication.pull import update_list
from pipeline.records.result import Result
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.store.results import find_result
from pipeline.visualization import render
from pipeline.visualization.catalogue import RenderRequest, pictures, runs_of

HOW_IT_ENDED = {"dead": "did not learn", "diverged": "diverged", "crashed": "crashed"}


def finished(store: Store, experiment: Experiment) -> Experiment:
    """The run, refused unless it has weights to look into."""
    result = find_result(store, experiment.id)
    if result and result.outcome == "damaged":
        raise UserError(f"{experiment.id} is damaged: {result.why[-1]}")
    if result is None or result.outcome != "done":
        if result:
            again = command(store, "retry", experiment.id)
            raise UserError(
                f"{experiment.id} {HOW_IT_ENDED[result.outcome]}, so it has no weights to look into: {again}"
            )
        train = command(store, "run", experiment.id)
        raise UserError(f"{experiment.id} is not finished, so it has no weights to look into: {train} trains it")
    if Run(experiment, result).at_chance:
        typer.echo(f"strive: {experiment.id} is no better than guessing: its maps say nothing", err=True)
    return experiment


def finished_of(store: Store, study: Study) -> list[Experiment]:
    """One finished run for every number of the study's table; refused when there is none."""
    if found := render.explained(store, study):
        return found
    raise UserError(
        f"no run of {study.name} is finished in {store.url}: "
        f"{command(store, 'reproduce', study.on_command_line)} trains them"
    )


def draw(
    store: Store, experiments: list[Experiment], wanted: RenderRequest, workers: int | None, data_dir: str | None
) -> dict:
    """Draw what is missing of these runs; what there is now, as `--json` prints it.

    A store may have runs without the data sets that they saw, such as results/ of a fresh clone: these are prepared.
    """
    work = render.to_draw(store, experiments, wanted)
    missing = render.unprepared(store, work)
    insist_on_data([dataset for dataset, _ in missing], data_dir)
    for dataset, how in missing:
        from pipeline.data import prepare

        prepare.make(store, dataset, how, data_dir, lambda said: typer.echo(f"strive: {said}", err=True))
    rate = _draw(store, work, workers) if work else None
    return {
        "store": store.url,
        "runs": [{"run": e.id, "figures": _addresses(store, e, wanted)} for e in experiments],
        "rendered": rate.plain() if rate else {"maps": 0, "sheets": 0},
    }


def _draw(store: Store, work: render.Work, workers: int | None):
    if render.is_small(work):
        return render.render_here(store, work)
    with render.Rendering(work, store.url, workers) as at_work:
        return at_work.rate()


def _addresses(store: Store, experiment: Experiment, wanted: RenderRequest) -> list[str]:
    run = RunFolder(experiment.id)
    digests = store.read_record(Result, run.result).digests
    return [store.url_of(run.figure(f"{p.name(digests)}.png")) for p in pictures(experiment.network, wanted)]


def publish_gallery(store: Store, study: Study) -> str:
    """Write the study's page over the pictures there are; returns its address. What can be pulled follows."""
    from pipeline.visualization import gallery  # jinja2

    path = gallery.publish_gallery(store, study.name, runs_of(study))
    update_list(store, study.name, [e.id for e in study.wanted])
    return store.url_of(path)
