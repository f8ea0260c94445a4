"""Flow runs whose runner died: each runner shows that it lives, and ends the flow runs of one that does not.

Prefect's own means (`flows/automations.py`) count silence by the times of the events that the server has worked off,
which is minutes late where it is busy. Here an observer counts by its own clock, as it does for leases.
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self
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
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from prefect.states import Cancelled, Crashed

from flows.hosted import TAG
from pipeline.runtime.process_identity import boot_id, host_name, process_started

BEAT_SECONDS = 15.0  # between two signs of life of a runner
SILENCE_SECONDS = 60.0  # without a sign of life, by the observer's clock: the runner is gone
EXITED_SECONDS = 20.0  # the same where its process is known to have ended: another runner may just have taken the run
ACTIVE = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
CRASHED = (
    "The runner that started it died: it was killed, or its host or its container was. Run it again: it goes on from "
    "the last checkpoints."
)
CANCELLED = "The runner that started it died before it could be cancelled. What was trained is kept."


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
        return None if None in found.values() else cls(**found)  # pyright: ignore[reportArgumentType]

    def labels(self) -> dict[str, Any]:
        return {f"strive.runner.{name}": getattr(self, name) for name in self.__dataclass_fields__}

    def is_of(self, other: "Sign") -> bool:
        """Whether both are of one runner."""
        return replace(self, beat=0) == replace(other, beat=0)

    def has_exited(self) -> bool:
        """Whether the runner is known to have ended: it was a process of this host, and is gone."""
        return (self.host, self.boot) == (host_name(), boot_id()) and process_started(self.pid) != self.started


class RunnerObserver:
    """Shows that this runner lives, and tells which flow runs have a runner that does not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._mine = clock, Sign.of_this_process()
        self._seen: dict[UUID, tuple[Sign, float]] = {}  # the last sign of each run's runner, and since when

    async def beat(self, client: PrefectClient, runs: Iterable[UUID]) -> None:
        """Write a new sign of life on these runs, which this runner started."""
        self._mine = replace(self._mine, beat=self._mine.beat + 1)
        for id in runs:
            with suppress(
                Exception
            ):  # one that was deleted, or a server that is away: the others are written all the same
                await client.update_flow_run_labels(id, self._mine.labels())

    async def end_orphans(self, client: PrefectClient) -> None:
        """Give a final state to every active flow run whose runner is gone."""
        state = FlowRunFilterState(type=FlowRunFilterStateType(any_=ACTIVE))
        ours = FlowRunFilter(state=state, tags=FlowRunFilterTags(all_=[TAG]))
        try:
            runs = await client.read_flow_runs(flow_run_filter=ours)
        except Exception:
            self._seen.clear()  # while the server was away, no runner could write
            raise
        for run in self.orphans(runs):
            await end(client, run, final_state(run))

    def orphans(self, active: list[FlowRun]) -> list[FlowRun]:
        """Those of all active flow runs whose runner has been silent for too long."""
        before, now = self._seen, self._clock()
        self._seen, silent = {}, []
        for run in active:
            sign = Sign.of_run(run)
            if sign is None or sign.is_of(self._mine):
                continue
            seen = before.get(run.id)
            since = seen[1] if seen and seen[0] == sign else now
            self._seen[run.id] = (sign, since)
            if now - since >= (EXITED_SECONDS if sign.has_exited() else SILENCE_SECONDS):
                silent.append(run)
        return silent


async def end(client: PrefectClient, run: FlowRun, state: State) -> None:
    """Give this state to the run, after its subflows and tasks: a run that has ended is not looked at again."""
    active = FlowRunFilterState(type=FlowRunFilterStateType(any_=ACTIVE))
    parent = FlowRunFilterParentFlowRunId(any_=[run.id])
    for subflow in await client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent, state=active)):
        await end(client, subflow, state)
    for task in await _active_tasks(client, run):
        await client.set_task_run_state(task.id, state, force=True)
    await client.set_flow_run_state(run.id, state, force=True)


async def _active_tasks(client: PrefectClient, run: FlowRun) -> list[TaskRun]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    active = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=ACTIVE)))
    found: list[TaskRun] = []
    while page := await client.read_task_runs(
        flow_run_filter=of_run, task_run_filter=active, sort=TaskRunSort.ID_DESC, offset=len(found)
    ):
        found += page
    return found


def final_state(run: FlowRun) -> State:
    """Cancelled for a run that was being cancelled, else Crashed."""
    if run.state and run.state.type == StateType.CANCELLING:
        return Cancelled(message=CANCELLED)
    return Crashed(message=CRASHED)
