"""How a study's training shows in Prefect: one observer of the store, and a task for every run or group of runs.

A task is Pending until its run begins, its log tells how the run goes, and it takes the state that the store gives the
run. Of a study with many runs a task is a group of them: a network at a learning rate.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectHTTPStatusError
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Crashed, Failed

from flows.run_words import counts, final_state, line_of
from pipeline.errors import StoreError
from pipeline.paper.networks import printed_name
from pipeline.plan.experiment import Experiment
from pipeline.plan.words import duration
from pipeline.store.objects import BRIEF_SECONDS, Store
from pipeline.training.progress import Progress, RunStatus, seconds_left

POLL_SECONDS = 2.0
NAME_SECONDS = 10.0  # for the server to hear of the last task runs
LOG_SECONDS = 30.0  # between two lines of a run's log
SINGLE_RUNS = 64  # a study with more is shown by groups


class Poller(threading.Thread):
    """The one observer of a study's runs while its fleet works; tasks wait here for news of theirs."""

    def __init__(self, store: Store, experiments: Sequence[Experiment]):
        super().__init__(name="poller", daemon=True)
        self.store = store.within(BRIEF_SECONDS)
        self._brief = Progress(self.store, list(experiments))
        self._patient = Progress(store, list(experiments))
        self._context = copy_context()  # of the flow run: what is logged here belongs to it
        self._news = threading.Condition()
        self._standings: dict[str, RunStatus] = {}
        self._over = threading.Event()
        self._logged = -LOG_SECONDS  # when the last line about all runs was logged
        self.released = False  # the fleet is over: nothing more will happen
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
        """The fleet is over: look a last time and let go of all tasks that still wait."""
        self._over.set()
        self.join()  # a look that began before must not be the last
        try:
            self._refresh(self._brief if self.stopped else self._patient)
        finally:
            with self._news:
                self.released = True
                self._news.notify_all()

    def wait_until(self, holds: Callable[[], bool], seconds: float | None = None) -> None:
        """Block until `holds()` is true, or the fleet is over, or the seconds have passed."""
        with self._news:
            self._news.wait_for(lambda: self.released or holds(), seconds)

    def of(self, ids: Sequence[str]) -> list[RunStatus]:
        """The states of these runs as last seen."""
        return [self._standings[id] for id in ids if id in self._standings]

    def percent_done(self) -> int:
        """Of all epochs of all runs, in whole percent."""
        standings = self._standings.values()
        total = sum(s.experiment.recipe.epochs for s in standings)
        done = sum(s.experiment.recipe.epochs if s.has_outcome else s.epoch for s in standings)
        return 100 * done // total if total else 0

    def is_time_to_log(self) -> bool:
        """Whether the last line about all runs is old enough for another."""
        now = time.monotonic()
        if now - self._logged < LOG_SECONDS:
            return False
        self._logged = now
        return True

    def in_words(self, workers: int) -> str:
        """How far all runs are, in a line."""
        standings = list(self._standings.values())
        ended = sum(s.has_outcome for s in standings)
        at_work = sum(s.state == "running" for s in standings)
        left = seconds_left(standings, workers)
        more = f", about {duration(left)} left" if left else ""
        return f"{ended} of {len(standings)} runs ended, {at_work} at work{more}"


class Begun(PrefectFuture[Any]):
    """Waited for by the tasks of runs that have not begun: they are Pending until then."""

    def __init__(self, poller: Poller, ids: Sequence[str], fleet: UUID):
        self._poller, self._ids, self._fleet = poller, ids, fleet

    @property
    def task_run_id(self) -> UUID:
        return self._fleet  # what the graph of tasks shows it to come from

    @property
    def state(self) -> State:
        return Completed(data=True)  # asked for, and used for nothing

    def wait(self, timeout: float | None = None) -> None:
        self._poller.wait_until(self._has_begun, timeout)

    def _has_begun(self) -> bool:
        return any(s.has_outcome or s.state == "running" for s in self._poller.of(self._ids))

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> None:
        self.wait(timeout)

    def add_done_callback(self, fn: Callable[[PrefectFuture[Any]], None]) -> None:
        raise NotImplementedError("only waited for")


@task(name="experiment", task_run_name="{label}", cache_policy=NO_CACHE)
def track_run(label: str, id: str, poller: Poller) -> State:
    """One experiment's place in the UI: its log while it trains, then the state that the store gives its run."""
    said = ""
    while not poller.released and not any(s.has_outcome for s in poller.of([id])):
        for status in poller.of([id]):
            if (line := line_of(poller.store, status)) and line != said:
                get_run_logger().info(line)
                said = line
        poller.wait_until(lambda: any(s.has_outcome for s in poller.of([id])), LOG_SECONDS)
    [status] = poller.of([id]) or [None]
    if status is None or not status.has_outcome:
        ended = Cancelled if poller.stopped else Failed
        return ended(
            message=f"{id}: the fleet ended before this run had an outcome; checkpoints that it wrote are kept"
        )
    return final_state(status)


@task(name="experiments", task_run_name="{label}", cache_policy=NO_CACHE)
def track_group(label: str, ids: list[str], poller: Poller) -> State:
    """Many experiments' place in the UI: counts in the log, and one state for all."""
    said = ""
    while True:
        line = counts(poller.of(ids), len(ids))
        if line != said:
            get_run_logger().info(line)
            said = line
        if poller.released or sum(s.has_outcome for s in poller.of(ids)) == len(ids):
            break
        poller.wait_until(lambda: sum(s.has_outcome for s in poller.of(ids)) == len(ids), LOG_SECONDS)
    if any(not s.has_outcome for s in poller.of(ids)):
        ended = Cancelled if poller.stopped else Failed
        return ended(message=f"the fleet ended before all runs had an outcome: {said}")
    if any(s.state == "crashed" for s in poller.of(ids)):
        return Crashed(message=said)
    return Completed(message=said)


def name_waiting(unnamed: dict[UUID, str], seconds: float = 0.0) -> None:
    """Give task runs that are Pending the names that Prefect gives them only once they run, and forget those named.

    The server hears of a task run a little later: those it does not know yet are tried again for `seconds`.
    """
    until = time.monotonic() + seconds
    with get_client(sync_client=True) as client:
        while unnamed:
            for id, label in list(unnamed.items()):
                with suppress(PrefectHTTPStatusError):
                    client.set_task_run_name(id, label)
                    del unnamed[id]
            if time.monotonic() >= until:
                return
            time.sleep(0.5)


def groups(runs: Sequence[Experiment]) -> dict[str, list[str]]:
    """The ids of runs by what they share: network, data and learning rate."""
    found: dict[str, list[str]] = {}
    for e in runs:
        data = f"{e.dataset.name}{', augmented' if e.augmented else ''}"
        label = f"{printed_name(e.network.name)}, {data}, learning rate {e.recipe.lr:g}"
        found.setdefault(label, []).append(e.id)
    return {f"{label}: {len(ids)} runs": ids for label, ids in found.items()}
