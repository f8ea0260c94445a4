"""Flow `train`: a study's missing runs as one fleet, and every run as a task of its own, settled from the store."""

import threading
from contextlib import suppress
from contextvars import copy_context
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import wait
from prefect.states import Cancelled, Completed, Crashed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.hosted import run_name, turn
from flows.parameters import DIGITS, Seeds, StoreUrl, StudyField, Workers, opened, planned
from pipeline.errors import StoreError
from pipeline.evaluation.frames import manifest
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import needed
from pipeline.runtime.driver import FleetStopped
from pipeline.runtime.settings import settings
from pipeline.store.objects import BRIEF_SECONDS, Store
from pipeline.store.paths import StudyFolder
from pipeline.training.fleet import Fleet
from pipeline.training.progress import Progress, RunStatus, results

POLL_SECONDS = 2.0


class Poller(threading.Thread):
    """The one observer of a study's runs while its fleet works; tasks wait here for theirs to be settled."""

    def __init__(self, store: Store, experiments: list[Experiment]):
        super().__init__(name="poller", daemon=True)
        self._brief = Progress(store.within(BRIEF_SECONDS), experiments)
        self._patient = Progress(store, experiments)
        self._context = copy_context()  # of the flow run: what is logged here belongs to it
        self._news = threading.Condition()
        self._standings: dict[str, RunStatus] = {}
        self._over = threading.Event()
        self._released = False
        self.stopped = False  # on purpose, before every run had an outcome

    def run(self) -> None:
        self._context.run(self._look_on)

    def _look_on(self) -> None:
        while not self._over.is_set():
            with suppress(StoreError):  # its outage is logged; the fleet's end shows whether it was too long
                self._refresh(self._brief)
            self._over.wait(POLL_SECONDS)

    def _refresh(self, progress: Progress) -> None:
        """Read the store once and tell who waits."""
        standings = {s.experiment.id: s for s in progress.statuses()}
        with self._news:
            self._standings = standings
            self._news.notify_all()

    def end(self) -> None:
        """The fleet is over: look a last time and let go of everyone who still waits."""
        self._over.set()
        self.join()  # a look that began before must not be the last
        try:
            self._refresh(self._brief if self.stopped else self._patient)
        finally:
            with self._news:
                self._released = True
                self._news.notify_all()

    def wait_for(self, id: str) -> RunStatus | None:
        """Block until the run has an outcome; None when the fleet ended without it."""
        with self._news:
            self._news.wait_for(lambda: self._released or self._has_outcome(id))
            return self._standings[id] if self._has_outcome(id) else None

    def percent_done(self) -> float:
        """Of all epochs of all runs, in percent."""
        standings = self._standings.values()
        total = sum(s.experiment.recipe.epochs for s in standings)
        done = sum(s.experiment.recipe.epochs if s.has_outcome else s.epoch for s in standings)
        return 100 * done / total if total else 0.0

    def _has_outcome(self, id: str) -> bool:
        return id in self._standings and self._standings[id].has_outcome


@task(name="fleet", task_run_name="fleet of {study}", cache_policy=NO_CACHE)
def work(study: str, fleet: Fleet) -> State:
    """The fleet's place in the UI: running until every experiment has an outcome."""
    try:
        fleet.wait()
    except FleetStopped:
        return Cancelled(message="the fleet was stopped; finished runs and checkpoints are kept")
    return Completed(message="every run has an outcome")


@task(name="experiment", task_run_name="{label}", cache_policy=NO_CACHE)
def track_run(label: str, id: str, poller: Poller) -> State:
    """One experiment's place in the UI: takes the state that the store gives its run."""
    standing = poller.wait_for(id)
    if standing is None:
        ended = Cancelled if poller.stopped else Failed
        return ended(message=f"{id}: the fleet ended before this run had an outcome")
    result = standing.result
    assert result is not None, "a run with an outcome has its result"
    if standing.state == "diverged":
        return Failed(name="Diverged", message=f"{id}: the loss was not finite in epoch {result.epochs - 1}")
    if standing.state == "dead":
        return Failed(name="DidNotLearn", message=f"{id}: {result.why[-1]}")
    if standing.state == "damaged":
        return Failed(name="Damaged", message=f"{id}: {result.why[-1]}")
    if standing.state == "crashed":
        return Crashed(message=f"{id}: {result.why[-1]}")
    return Completed(message=f"{id}: {result.wrong} wrong of {result.seen}")


@flow(  # pyright: ignore[reportCallIssue]  # flow() wants a TaskRunner of PrefectFutures, this one's are a subclass
    name="train",
    flow_run_name=run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=1024),  # pyright: ignore[reportArgumentType]
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
    artifact = create_progress_artifact(0.0, key=f"{study}-progress", description=f"epochs of {study}")
    fleet = Fleet(missing, store.url, workers, StudyFolder(study).news)
    poller.start()
    try:
        at_work = work.submit(study, fleet)
        runs = [track_run.submit(e.label, e.id, poller) for e in missing]
        while not wait([at_work], timeout=5).done:
            with suppress(Exception):  # a server that is away for a minute must not cost a night's training
                update_progress_artifact(_id(artifact), poller.percent_done())
    except BaseException:  # cancelled, or Ctrl-C: the task above would wait for the fleet to finish its work
        poller.stopped = True
        fleet.stop()
        raise
    finally:
        poller.end()
    wait(runs)
    update_progress_artifact(_id(artifact), poller.percent_done())
    at_work.result()


def _id(artifact: object) -> UUID:
    assert isinstance(artifact, UUID)
    return artifact
