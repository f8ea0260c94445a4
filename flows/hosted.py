"""What a run has on a Prefect server that it lacks on the command line: a name that says what it is, its turn."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from logging import LogRecord, getLogger

from prefect import get_run_logger, tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext

from flows import shown

SLOT = "Service 'ConcurrencySlotAcquisition"  # as Prefect begins the error that no slot was free in time
TURN_SECONDS = 20.0  # of waiting, between two looks at whether those who had a slot still live
ORPHAN_SECONDS = 5.0  # between two looks at whether our runner still lives
GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi|chi|"
    "psi|omega"
)
GOODS = (
    "Awesome|Ergonomic|Fantastic|Generic|Gorgeous|Handcrafted|Handmade|Incredible|Intelligent|Licensed|Practical|Refined|"
    "Rustic|Sleek|Small|Tasty|Unbranded"
)
TAG = "strive"  # of every flow run that a server started
_taken: ContextVar[str | None] = ContextVar("_taken", default=None)  # the study whose turn this process has


def run_name() -> str:
    """`reproduce digits, 3 seeds, 2026-11-26 23:40`; a name that a person typed is kept."""
    context = FlowRunContext.get()
    assert context, "Prefect asks for the name inside the run"
    assert context.flow, "a run is of a flow"
    run, parameters = context.flow_run, context.parameters or {}
    if run and run.deployment_id and not _is_generated(run.name):
        return run.name
    study = parameters["study"]
    parts = [f"{context.flow.name} {getattr(study, 'value', study)}"]
    if seeds := parameters.get("seeds"):
        parts.append(f"{seeds} seed{'s' if seeds > 1 else ''}")
    if replicate := parameters.get("replicate"):
        parts.append(f"{replicate} replicated")
    return ", ".join([*parts, f"{datetime.now(UTC):%Y-%m-%d %H:%M}"])


@contextmanager
def turn(study: str) -> Iterator[None]:
    """Inside, no other run that a server started works on this study; a run of a command does not wait."""
    with shown.page():
        context = FlowRunContext.get()
        run = context.flow_run if context else None
        if run is None or run.deployment_id is None or _taken.get() == study:
            yield
            return
        with _own_turn(run, study):
            yield


@contextmanager
def _own_turn(run: FlowRun, study: str) -> Iterator[None]:
    _end_with_runner()
    token = _taken.set(study)
    try:
        with ExitStack() as stack:
            _take_turn(stack, study)
            stack.enter_context(tags(TAG, study))
            _mark(run, study)
            yield
    finally:
        _taken.reset(token)


def _take_turn(stack: ExitStack, study: str) -> None:
    """Wait for the study's slot, and hold it until the stack ends."""
    getLogger("prefect._internal.concurrency").addFilter(_is_more_than_waiting)
    waits = forgotten = False
    while True:
        try:
            stack.enter_context(concurrency(limit_name(study), occupy=1, timeout_seconds=TURN_SECONDS))
            return
        except TimeoutError:
            with get_client(sync_client=True) as client:
                before, forgotten = forgotten, not _holders(client, study)
                if before and forgotten:  # at one look alone, a holder may not have marked itself yet
                    client.update_global_concurrency_limit(
                        limit_name(study), GlobalConcurrencyLimitUpdate(active_slots=0)
                    )
            if not waits:
                get_run_logger().info(f"Another run works on the study {study}: waiting for it to end.")
            waits = True


def _is_more_than_waiting(record: LogRecord) -> bool:
    """Whether the record is another than the error that Prefect logs when no slot was free in time."""
    return not record.getMessage().startswith(SLOT)


def _holders(client: SyncPrefectClient, study: str) -> list[FlowRun]:
    """The runs that work on a study now; when there is none and yet no slot is free, the server forgot a holder."""
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING]))
    mine = FlowRunFilterTags(all_=[TAG, study])
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=running, tags=mine))


def _mark(run: FlowRun, study: str) -> None:
    """Tag the run with its study: the page of runs can be filtered by it, and `_holders` finds it."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, tags=sorted({*run.tags, TAG, study}))


def limit_name(study: str) -> str:
    """Of the global concurrency limit that lets one run of a study work at a time."""
    return f"study {study}"


def _end_with_runner() -> None:
    """End this process, and with it its fleet, when the runner that started it is gone: nothing could cancel it."""
    runner = os.getppid()

    def watch() -> None:
        while os.getppid() == runner:
            time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="runner watch", daemon=True).start()


def _is_generated(name: str) -> bool:
    """Whether Prefect made the name up: its server takes an adjective and an animal, its UI the name of a star, and
    its newer UI what is said of goods, and an animal of at most six letters."""
    if re.fullmatch(rf"({GOODS})-[A-Z][A-Za-z' ]{{0,5}}", name):
        return True
    words = re.fullmatch(r"([a-z]+)-([a-z]+)", name)
    if words and set(words.groups()) <= _made_up_words():
        return True
    return re.fullmatch(rf"({GREEK})\d*-[a-z]+(-[a-z]+)?", name) is not None


@cache
def _made_up_words() -> frozenset[str]:
    from coolname.data import config  # what Prefect makes names of

    return frozenset(word.lower() for part in config.values() if part.get("type") == "words" for word in part["words"])
