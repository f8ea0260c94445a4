"""Errors that we foresee are one sentence in Prefect's log, never a traceback."""

import logging

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


ONE_SENTENCE = OneSentence()
for _name in LOGGERS:
    logging.getLogger(_name).addFilter(ONE_SENTENCE)
