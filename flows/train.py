"""Flow `train`: a study's missing runs as one fleet, watched through the store."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Cancelled, Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.hosted import run_name, turn
from flows.parameters import DIGITS, Seeds, StoreUrl, StudyField, Workers, opened, planned
from flows.shown import show_progress, tell
from flows.watch import NAME_SECONDS, SINGLE_RUNS, Begun, Poller, groups, name_waiting, track_group, track_run
from pipeline.evaluation.frames import manifest
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import needed
from pipeline.runtime.driver import FleetStopped
from pipeline.runtime.limits import cores
from pipeline.runtime.settings import settings
from pipeline.store.objects import Store
from pipeline.store.paths import StudyFolder
from pipeline.training.fleet import Fleet
from pipeline.training.progress import Progress, results

END_SECONDS = 22.0  # for the tasks of a study that is cancelled to say so; Prefect kills its process after 30


@task(name="fleet", task_run_name="fleet of {study}", cache_policy=NO_CACHE)
def work(study: str, fleet: Fleet) -> State:
    """The fleet's place in the UI: running until every experiment has an outcome."""
    try:
        fleet.wait()
    except FleetStopped:
        return Cancelled(message="the fleet was stopped; finished runs and checkpoints are kept")
    return Completed(message="every run has an outcome")


@flow(  # pyright: ignore[reportCallIssue]  # flow() wants a TaskRunner of PrefectFutures, this one's are a subclass
    name="train",
    flow_run_name=run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=256),  # pyright: ignore[reportArgumentType]
    persist_result=False,
)
def train(
    study: StudyField = DIGITS, seeds: Seeds = None, workers: Workers = None, store: StoreUrl = None
) -> dict[str, str]:
    """Trains every run of a study that has no outcome yet, on the Ray cluster. Makes weights, histories and results in
    the folder `runs` of the store; returns the outcomes by run id. The data must be prepared."""
    kept = opened(store)
    this = planned(study, seeds, kept)
    progress = Progress(kept, list(this.wanted))
    with turn(this.name):
        while missing := needed(this, results(progress.statuses())):  # once more when a learning rate was chosen
            kept.write_record(StudyFolder(this.name).manifest, manifest(this))
            train_runs(this.name, missing, kept, settings(workers=workers).workers)
        return {s.experiment.id: s.state for s in progress.statuses() if s.has_outcome}


def train_runs(study: str, missing: list[Experiment], store: Store, workers: int | None) -> None:
    """Train the runs as one fleet, each with a task of its own, until every one has an outcome."""
    poller = Poller(store, missing)
    artifact = show_progress(f"{study}-progress", f"epochs of {study}")
    count = workers or cores()
    fleet = Fleet(missing, store.url, workers, StudyFolder(study).news)
    runs: dict[PrefectFuture, str] = {}
    poller.start()
    try:
        at_work = work.submit(study, fleet)
        runs = _tracked(missing, poller, at_work.task_run_id)
        unnamed = {future.task_run_id: label for future, label in runs.items()}
        while not wait([at_work], timeout=5).done:
            with suppress(Exception):  # whatever Prefect's client makes of a server that is away: training goes on
                name_waiting(unnamed)
                _show(artifact, poller, count)
    except BaseException:  # cancelled, or Ctrl-C: the task above would wait for the fleet to finish its work
        poller.stopped = True
        fleet.stop()
        raise
    finally:
        poller.end()
        # each task says itself how its run ended; one that cannot any more is Crashed to Prefect
        wait(list(runs), END_SECONDS if poller.stopped else None)
    with suppress(Exception):  # as above; names are for the eye alone
        name_waiting(unnamed, NAME_SECONDS)
    _show(artifact, poller, count)
    tell(f"Training: {poller.in_words(count)}.")
    at_work.result()


def _show(artifact: UUID, poller: Poller, workers: int) -> None:
    """How far the study is, on the page of the run that a user started."""
    update_progress_artifact(artifact, poller.percent_done(), poller.in_words(workers))
    if poller.is_time_to_log():
        tell(f"Training: {poller.percent_done()} % of all epochs, {poller.in_words(workers)}.")


def _tracked(runs: Sequence[Experiment], poller: Poller, fleet: UUID) -> dict[PrefectFuture, str]:
    """A task for every run, Pending until it begins, and its name; of many runs one for every group."""
    if len(runs) <= SINGLE_RUNS:
        shown: dict[str, Any] = {e.id: (track_run, e.label, e.id, [e.id]) for e in runs}
    else:
        shown = {name: (track_group, name, ids, ids) for name, ids in groups(runs).items()}
    return {
        one.submit(label, what, poller, wait_for=[Begun(poller, ids, fleet)]): label
        for one, label, what, ids in shown.values()
    }
