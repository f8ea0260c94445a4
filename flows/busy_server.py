"""A Prefect server that is too busy or away for a while, as where all containers start at once: it is asked again."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import httpx

from pipeline.errors import UserError

T = TypeVar("T")
SECONDS = 300.0  # that a server may need
PAUSE_SECONDS = 5.0


def patiently(ask: Callable[[], T], seconds: float = SECONDS) -> T:
    """What `ask` returns, which may be called again; UserError where the server is busy or away for `seconds`."""
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except Exception as error:  # Prefect wraps the answer in errors of its own
            cause = busy(error)
            if cause is None:
                raise
            if time.monotonic() > until:
                raise UserError(
                    f"the Prefect server does not take our deployments ({cause}): look into its log, then run the same "
                    "command again"
                ) from error
            print(f"strive: the Prefect server says {cause}; it is asked again", file=sys.stderr, flush=True)
        time.sleep(PAUSE_SECONDS)


def busy(error: BaseException | None) -> str | None:
    """What the server answered or did not, where that passes by itself; None of any other error."""
    while error is not None:
        if isinstance(error, httpx.HTTPStatusError):
            passes = error.response.status_code >= 500 or error.response.status_code == httpx.codes.TOO_MANY_REQUESTS
            return f"{error.response.status_code} {error.response.reason_phrase}" if passes else None
        if isinstance(error, httpx.TransportError):
            return f"nothing ({type(error).__name__})"
        error = error.__cause__ or error.__context__
    return None
