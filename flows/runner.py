"""Prefect's runner, which goes on seeing that runs are to be cancelled after the server was away, and which runs have
lost their runner."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.runner import Runner

from flows.dead_runners import BEAT_SECONDS, RunnerObserver

LOOK_SECONDS = 5.0
OVERLOOKED = timedelta(seconds=10)  # in state Cancelling so long, and its process has not been told


class PatientRunner(Runner):
    """Prefect's own watch misses what happens while the server is away, and gives up after some failures."""

    async def __aenter__(self):
        await super().__aenter__()
        assert self._cancelling_observer, "the runner has just made it"
        self._cancelling_observer.on_failure = None  # called outside the event loop, it fails itself
        self._observer = RunnerObserver()
        watches = (self._watch_cancelling(), self._show_life(), self._watch_runners())
        self._watches = [asyncio.create_task(watch) for watch in watches]
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        for watch in self._watches:
            watch.cancel()
        await super().__aexit__(*exc_info)

    async def _watch_cancelling(self) -> None:
        told = set()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(Exception):  # whatever Prefect's client makes of a server that is away: look again
                for run in await self._cancelling():
                    if run.id not in told and run.state.timestamp < datetime.now(UTC) - OVERLOOKED:
                        told.add(run.id)
                        self._runs_task_group.start_soon(self._cancel_run, run.id)

    async def _show_life(self) -> None:
        """At once on a run that has just begun, and on all of them every BEAT_SECONDS."""
        shown, last = set(), 0.0
        while True:
            now, ours = time.monotonic(), set(self._ours())
            due = now - last >= BEAT_SECONDS
            if wanted := ours if due else ours - shown:
                await self._observer.beat(self._client, wanted)
            shown, last = ours, now if due else last
            await asyncio.sleep(LOOK_SECONDS)

    async def _watch_runners(self) -> None:
        while True:
            with suppress(Exception):  # as above
                await self._observer.end_orphans(self._client, self._ours())
            await asyncio.sleep(BEAT_SECONDS)

    def _ours(self) -> list[UUID]:
        """The runs that this runner has started and that have not ended."""
        assert self._cancelling_observer, "a runner that watches has one"
        return list(self._cancelling_observer._in_flight_flow_run_ids)

    async def _cancelling(self) -> list:
        """Our runs whose state says that they are to be cancelled."""
        ours = self._ours()
        if not ours:
            return []
        state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING]))
        return await self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ours), state=state)
        )
