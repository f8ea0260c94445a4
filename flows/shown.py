"""What the page of the run that a user started shows: artifacts and lines of the log, those of its subflows among them.

Prefect shows an artifact on the page of the flow run that made it. What a user looks at is the run that they started.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect.artifacts import MarkdownArtifact, ProgressArtifact, TableArtifact
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger

_started: ContextVar[FlowRunContext | None] = ContextVar("_started", default=None)


@contextmanager
def page() -> Iterator[None]:
    """Inside, everything is shown on the page of the run whose flow entered this first."""
    if _started.get() is not None:
        yield
        return
    token = _started.set(FlowRunContext.get())
    try:
        yield
    finally:
        _started.reset(token)


def tell(line: str) -> None:
    """A line of the log."""
    context = _started.get()
    assert context, "told within a page"
    flow_run_logger(context.flow_run, context.flow).info(line)


def show_table(key: str, rows: list[dict[str, Any]], about: str) -> None:
    """Rows as a table; `about` is the line below its name."""
    TableArtifact(key=key, table=rows, description=about, flow_run_id=_run()).create()


def show_markdown(key: str, text: str, about: str) -> None:
    """A text with pictures and links."""
    MarkdownArtifact(key=key, markdown=text, description=about, flow_run_id=_run()).create()


def show_progress(key: str, about: str) -> UUID:
    """A bar at 0 %; its id is for `update_progress_artifact`."""
    made: Any = ProgressArtifact(key=key, progress=0.0, description=about, flow_run_id=_run()).create()
    return made.id


def _run() -> UUID | None:
    context = _started.get()
    return context.flow_run.id if context and context.flow_run else None
