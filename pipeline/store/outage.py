"""Since when a store has not answered: one note for all threads of a process that use it."""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
SAID_SECONDS = 20.0  # between two lines of the log
RESTS_SECONDS = 1.0  # after a failure in which calls that have waited long enough do not try once more


class Outage:
    """Begins with the first call that fails and ends with the first that is answered; the log says how long it is."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic):
        self.url, self._clock, self._lock = url, clock, threading.Lock()
        self.ended = 0  # outages so far that are over
        self.cause = ""  # what the last failed call said
        self._began: float | None = None
        self._failed_at = self._said_at = 0.0

    def seconds(self) -> float:
        """How long the store has not answered; 0 while it does."""
        began = self._began
        return 0.0 if began is None else self._clock() - began

    def answered(self) -> None:
        """A call came back, be it with a refusal."""
        if self._began is None:
            return
        with self._lock:
            if self._began is not None:
                if self._said_at:
                    log.warning("%s answers again, after %.0f s", self.url, self._clock() - self._began)
                self._began, self._said_at = None, 0.0
                self.ended += 1

    def failed(self, seconds: float, cause: str) -> None:
        """A call that began so many seconds ago was not answered."""
        with self._lock:
            now = self._clock()
            if self._began is None:
                self._began = now - seconds
            self._failed_at, self.cause = now, cause
            if now - max(self._began, self._said_at) >= SAID_SECONDS:
                self._said_at = now
                log.warning("%s", self.sentence())

    def rests(self) -> bool:
        """Whether a call failed a moment ago."""
        return self._began is not None and self._clock() - self._failed_at < RESTS_SECONDS

    def sentence(self) -> str:
        """The store has not answered for so long."""
        return f"{self.url} has not answered for {self.seconds():.0f} s ({self.cause})"
