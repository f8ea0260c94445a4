"""`strive run` and `strive work`: experiments in this process."""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext

from flows.cli import runs
from flows.cli.hints import command
from flows.cli.options import LONG_SECONDS
from flows.cli.progress_display import Display, console
from pipeline.data import prepare
from pipeline.data.sources import silent
from pipeline.errors import UserError
from pipeline.paper.recipes import Preprocess
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import gpu_seconds, needed
from pipeline.plan.studies import Study
from pipeline.store import standings
from pipeline.store.objects import Store
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training import job, leases
from pipeline.training.owners import SILENCE_SECONDS, LeaseObserver, is_local, this_process
from pipeline.training.progress import Progress, RunStatus, results, seconds_left
from pipeline.training.queue import Queue

Say = Callable[[str], None]


def _taken(store: Store, experiment: Experiment) -> tuple[list[leases.Lease], bool]:
    """A lease on the run, and whether it has its outcome.

    The owner of an older lease, on another host, counts as gone after a minute without a heartbeat.
    """
    owner, watch = this_process(), LeaseObserver(store)
    until = time.monotonic() + SILENCE_SECONDS + 1
    while True:
        held, settled = leases.acquire(store, [experiment], 1, owner, watch)
        if held or settled or time.monotonic() > until or is_local(store, RunFolder(experiment.id)):
            return held, settled
        time.sleep(1)


def work_here(store: Store, study: Study, data_dir: str | None, say: Say, quiet: bool) -> None:
    """Train what is missing of the study, run after run in this process, until every run has an outcome.

    Any number of such processes, on any number of hosts, share a study: each takes what no other works on.
    """
    with nullcontext() if quiet else Display(store, study, 1, console(), ray=False):
        hears = (silent, silent) if quiet else (say, console().print)
        _work(store, study, data_dir, *hears)


def _work(store: Store, study: Study, data_dir: str | None, say: Say, show: Say) -> None:
    """What comes out is said; what is under way is shown."""
    queue = Queue(store, this_process(), LeaseObserver(store))
    progress = Progress(store, list(study.wanted))
    standings.complete(store, [e.id for e in needed(study, results(progress.statuses()))])
    prepared: set[tuple[Dataset, Preprocess]] = set()
    while missing := needed(study, results(progress.statuses())):
        # prepared before a run is taken: a lease without heartbeats is taken over, and whitening takes a while
        held, settled = queue.take([e for e in missing if _data_of(e) in prepared], 1)
        if held:
            _train(held, store, say, show)
        elif unprepared := [data for data in map(_data_of, missing) if data not in prepared]:
            prepare.make(store, *unprepared[0], data_dir, show)
            prepared.add(unprepared[0])
        else:
            time.sleep(0 if settled else queue.pause())


def _train(held: list[leases.Lease], store: Store, say: Say, show: Say) -> None:
    try:
        [result] = job.run(held, store)
        say(f"{result.experiment_id} {result.outcome}: {result.wrong} wrong of {result.seen}")
    except leases.LeaseLost as lost:  # to a process that took this one for gone, as after a sleep of this machine
        show(f"{lost}: this process goes on with other runs")


def _data_of(this: Experiment) -> tuple[Dataset, Preprocess]:
    return this.dataset, this.recipe.preprocess


def unprepared(store: Store, experiments: Iterable[Experiment]) -> list[Dataset]:
    """The data sets of these experiments that the store does not hold yet."""
    wanted = dict.fromkeys(map(_data_of, experiments))
    return list(dict.fromkeys(d for d, how in wanted if not store.exists(DatasetFolder(d, how).manifest)))


def estimate(statuses: list[RunStatus]) -> float:
    """Seconds that these runs still take this process, about: on its GPU, else on one CPU core."""
    import torch

    if torch.cuda.is_available():
        return sum(gpu_seconds(s.experiment) for s in statuses if not s.has_outcome)
    return seconds_left(statuses, 1)


def stopped(store: Store, experiment: Experiment) -> str:
    """How far a run is that was just interrupted, and how to go on."""
    [status] = Progress(store, [experiment]).statuses()
    yes = ("--yes",) if estimate([status]) > LONG_SECONDS else ()
    again = command(store, "run", experiment.id, *yes)
    if status.has_outcome:
        shows = command(store, "status", experiment.id)
        return f"It had ended already ({runs.state_of(status)}): {shows} shows it."
    if status.state == "stopped":
        return f"{runs.how_far(status)} are kept; {again} goes on from there."
    return f"It had no checkpoint yet; {again} begins again."


def train_here(store: Store, experiment: Experiment, data_dir: str | None, quiet: bool) -> RunStatus:
    """Train it unless it has its outcome; UserError while another process trains it."""
    show = silent if quiet else console().print
    prepare.make(store, experiment.dataset, experiment.recipe.preprocess, data_dir, show)
    progress = Progress(store, [experiment])
    before = progress.statuses()[0]
    held, settled = _taken(store, experiment)
    if held and before.state == "stopped":
        show(f"{runs.goes_on(before)}.")
    if held:
        if quiet:
            job.run(held, store)
        else:
            with Display(store, Study(experiment.id, experiment.label, (experiment,)), 1, console(), ray=False):
                job.run(held, store)
    elif not settled:
        [standing] = progress.statuses()
        shows = command(store, "status", experiment.id)
        raise UserError(f"{experiment.id} is being trained by {standing.where}: {shows} shows how far it is")
    [standing] = progress.statuses()
    return standing
