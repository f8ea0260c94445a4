"""Flow runs whose runner died: each runner shows that it lives, and ends the flow runs of one that does not.

Prefect's own means (`flows/automations.py`) count silence by the times of the events that the server has handled, and a
busy server handles them minutes late. Here an observer counts how often it has looked and seen nothing new.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Any, Self, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.states import Cancelled, Crashed

from flows.hosted import TAG
from pipeline.runtime.process_identity import boot_id, host_name, process_started

BEAT_SECONDS = 15.0  # between two signs of life of a runner, and between two looks at those of others
PATIENCE_SECONDS = 10.0  # for an answer of the server; Prefect's client alone would try again for minutes
GAP_SECONDS = 35.0  # a longer gap between two looks may hide an outage: the count begins anew
LOOKS = 5  # without a new sign of life: the runner is gone
LOOKS_OF_EXITED = 3  # the same where its process is known to have ended: another runner may just have taken the run
ACTIVE = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
CRASHED = (
    "Its runner shows no sign of life any more: it, its host or its container died. Run it again: it goes on from the "
    "last checkpoints."
)
CANCELLED = "Its runner died before it could be cancelled. What was trained is kept."
T = TypeVar("T")


@dataclass(frozen=True)
class Sign:
    """A runner's sign of life, as it stands in the labels of the flow runs that it started."""

    host: str
    boot: str
    pid: int
    started: str  # of the process: pids are used again
    beat: int

    @classmethod
    def of_this_process(cls) -> Self:
        return cls(host_name(), boot_id(), os.getpid(), process_started(os.getpid()) or "", 0)

    @classmethod
    def of_run(cls, run: FlowRun) -> Self | None:
        """Of the run's runner; None where it has not said anything yet, or is a worker of a work pool."""
        found = {name: run.labels.get(f"strive.runner.{name}") for name in cls.__dataclass_fields__}
        return None if None in found.values() or run.work_pool_name else cls(**found)  # pyright: ignore

    def labels(self) -> dict[str, Any]:
        return {f"strive.runner.{name}": getattr(self, name) for name in self.__dataclass_fields__}

    def is_of(self, other: "Sign") -> bool:
        """Whether both are of one runner."""
        return replace(self, beat=0) == replace(other, beat=0)

    def has_exited(self) -> bool:
        """Whether the runner is known to have ended: it was a process of this host, and is gone."""
        try:
            return (self.host, self.boot) == (host_name(), boot_id()) and process_started(self.pid) != self.started
        except OSError:  # another user's process, which this one may not see
            return False


class RunnerObserver:
    """Shows that this runner lives, and tells which flow runs have a runner that does not."""

    def __init__(self, mine: Sign | None = None, clock: Callable[[], float] = time.monotonic):
        self._clock, self._mine = clock, mine or Sign.of_this_process()
        self._looked = -GAP_SECONDS  # when the last look succeeded
        self._seen: dict[UUID, tuple[Sign, int]] = {}  # the last sign of each run's runner, and how often it was seen

    async def beat(self, client: PrefectClient, runs: Collection[UUID]) -> None:
        """Write a new sign of life on these runs, which this runner started."""
        self._mine = replace(self._mine, beat=self._mine.beat + 1)
        written = [_patient(client.update_flow_run_labels(id, self._mine.labels())) for id in runs]
        # one that was deleted hinders no other; after an outage the next beat is written
        await asyncio.gather(*written, return_exceptions=True)

    async def end_orphans(self, client: PrefectClient, own: Collection[UUID]) -> None:
        """Give a final state to every active flow run whose runner is gone; `own` are the runs of this runner."""
        ours = FlowRunFilter(state=_active(), tags=FlowRunFilterTags(all_=[TAG]))
        runs = await _patient(_flow_runs(client, ours))
        for run in self.orphans([run for run in runs if run.id not in own]):
            try:
                await _end_orphan(client, run)
            except Exception as error:  # whatever Prefect's client makes of an outage: tried again at the next look
                getLogger("strive").warning(
                    f"The flow run {run.name} has lost its runner and could not be ended: {error}"
                )

    def orphans(self, active: Collection[FlowRun]) -> list[FlowRun]:
        """Those of all active flow runs whose runner showed nothing new at so many looks, one soon after the other."""
        now = self._clock()
        before = self._seen if now - self._looked < GAP_SECONDS else {}  # in an outage no runner could write
        self._looked, self._seen, silent = now, {}, []
        for run in active:
            sign = Sign.of_run(run)
            if sign is None or sign.is_of(self._mine):
                continue
            last, looks = before.get(run.id, (None, 0))
            looks = looks + 1 if last == sign else 0
            self._seen[run.id] = (sign, looks)
            if looks >= (LOOKS_OF_EXITED if sign.has_exited() else LOOKS):
                silent.append(run)
        return silent


async def _end_orphan(client: PrefectClient, run: FlowRun) -> None:
    """End the run, unless it has ended or was taken by a runner meanwhile."""
    now = await _patient(client.read_flow_run(run.id))
    if now.state and now.state.type in ACTIVE and Sign.of_run(now) == Sign.of_run(run):
        await end(client, now, final_state(now))


async def end(client: PrefectClient, run: FlowRun, state: State) -> None:
    """Give this state to the run, after its subflows and tasks: a run that has ended is not looked at again."""
    force = state.type == StateType.CANCELLED  # Prefect has a run cancelled by its runner alone
    parent = FlowRunFilterParentFlowRunId(any_=[run.id])
    for subflow in await _flow_runs(client, FlowRunFilter(parent_flow_run_id=parent, state=_active())):
        await end(client, subflow, state)
    for task in await _active_tasks(client, run):
        await client.set_task_run_state(task, state, force=True)
    await client.set_flow_run_state(run.id, state, force=force)


def final_state(run: FlowRun) -> State:
    """Cancelled for a run that was being cancelled, else Crashed."""
    if run.state and run.state.type == StateType.CANCELLING:
        return Cancelled(message=CANCELLED)
    return Crashed(message=CRASHED)


def _active() -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=ACTIVE))


async def _flow_runs(client: PrefectClient, wanted: FlowRunFilter) -> list[FlowRun]:
    """All of them; the server gives at most 200 at once."""
    found: list[FlowRun] = []
    while page := await client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, offset=len(found)):
        found += page
    return found


async def _active_tasks(client: PrefectClient, run: FlowRun) -> list[UUID]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    active = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=ACTIVE)))
    found: list[UUID] = []
    while page := await client.read_task_runs(
        flow_run_filter=of_run, task_run_filter=active, sort=TaskRunSort.ID_DESC, offset=len(found)
    ):
        found += [task.id for task in page]
    return found


async def _patient(answer: Awaitable[T]) -> T:
    """The server's answer; TimeoutError where it does not come soon."""
    return await asyncio.wait_for(answer, PATIENCE_SECONDS)
