"""Errors that we foresee are one sentence in Prefect's log, never a traceback; and it says when a store is away."""

import logging
import sys

from pipeline.errors import UserError

FORESEEN = (UserError, OSError)  # a request that cannot be met; a store, disk or network that fails
HOW_IT_WENT = ("Finished in state", "Task run failed with state", "Crash detected!")  # as Prefect begins
LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class OneSentence(logging.Filter):
    """Leaves of a record about a foreseen error its sentence alone.

    `silent` drops such records, and those about how a run ended: for a command that says itself how its flow went.
    """

    silent = False

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, FORESEEN):
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
            return not self.silent
        return not (self.silent and record.getMessage().startswith(HOW_IT_WENT))


class ToRun(logging.Handler):
    """What a store's outage logs goes to the log of the run that waits, else to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        if ONE_SENTENCE.silent:
            return
        if (run := _run_log()) is not None:
            run.warning(record.getMessage())
        else:
            print(f"strive: {record.getMessage()}", file=sys.stderr, flush=True)


def _run_log() -> logging.LoggerAdapter | logging.Logger | None:
    """The log of the run that this thread works for; None outside of runs, as in commands that need no Prefect."""
    if "prefect" not in sys.modules:
        return None
    from prefect import get_run_logger
    from prefect.exceptions import MissingContextError

    try:
        return get_run_logger()
    except MissingContextError:
        return None


ONE_SENTENCE = OneSentence()
_outages = logging.getLogger("pipeline.store.outage")
_outages.addHandler(ToRun())
_outages.propagate = False
for _name in LOGGERS:
    logging.getLogger(_name).addFilter(ONE_SENTENCE)
