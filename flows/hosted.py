"""What a run has on a Prefect server that it lacks on the command line: a name that says what it is, its turn."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache

from prefect import get_run_logger, tags
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

ORPHAN_SECONDS = 5.0  # between two looks at whether our runner still lives
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
    context = FlowRunContext.get()
    if not (context and context.flow_run and context.flow_run.deployment_id) or _taken.get() == study:
        yield
        return
    name = limit_name(study)
    _say_who_waits(name)
    _end_with_runner()
    token = _taken.set(study)
    try:
        with concurrency(name, occupy=1), tags(TAG, study):
            yield
    finally:
        _taken.reset(token)


def limit_name(study: str) -> str:
    """Of the global concurrency limit that lets one run of a study work at a time."""
    return f"study {study}"


def _say_who_waits(name: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            return
    if limit.active_slots >= limit.limit:
        get_run_logger().info(f"Another run works on this {name}: waiting for it to end.")


def _end_with_runner() -> None:
    """End this process, and with it its fleet, when the runner that started it is gone: nothing could cancel it."""
    runner = os.getppid()

    def watch() -> None:
        while os.getppid() == runner:
            time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="runner watch", daemon=True).start()


def _is_generated(name: str) -> bool:
    """Whether Prefect made the name up: an adjective and an animal."""
    words = re.fullmatch(r"([a-z]+)-([a-z]+)", name)
    return words is not None and set(words.groups()) <= _made_up_words()


@cache
def _made_up_words() -> frozenset[str]:
    from coolname.data import config  # what Prefect makes names of

    return frozenset(word.lower() for part in config.values() if part.get("type") == "words" for word in part["words"])
