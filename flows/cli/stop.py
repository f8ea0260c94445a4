"""Signals that stop a command: the stack unwinds as by Ctrl-C, and one sentence says so."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING_SECONDS = 10.0  # in which what we started ends in good order
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Raises `error` of the signal's number where one comes; further ones while that is under way change nothing.

    One that was ignored from the start stays so (nohup).
    """

    def __init__(self, error: Callable[[int], BaseException]):
        self.seen: int | None = None  # the number of the first
        self._error, self._last = error, -ENDING_SECONDS
        heard = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._unwind) for number in heard}

    def _unwind(self, number: int, _frame: FrameType | None) -> None:
        if time.monotonic() - self._last >= ENDING_SECONDS:
            self._last = time.monotonic()
            self.seen = self.seen or number
            raise self._error(number)

    def restore(self) -> None:
        """Let the handlers of before hear them again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def leave(self) -> None:
        """Let the next one end the process where it stands: Python would show a traceback of its own end."""
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)


def as_python_does() -> None:
    """Let a library that ends in good order by itself hear the signals: asyncio and Prefect replace these handlers."""
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def say(number: int, what: str) -> None:
    """Say on standard error that this signal stopped the command."""
    word = "stopped" if number == signal.SIGINT else "terminated"
    with suppress(OSError):  # the terminal may be gone
        print(f"\nstrive: {word}{what}", file=sys.stderr, flush=True)


@contextmanager
def stoppable() -> Iterator[None]:
    """Around all of a command: one that is stopped says so, and its exit code is 128 and the signal's number."""
    signals = Signals(lambda _: KeyboardInterrupt())
    try:
        yield
    except KeyboardInterrupt:
        signals.seen = signals.seen or signal.SIGINT
    except SystemExit:  # what libraries and we make of it
        if not signals.seen:
            raise
    finally:
        if signals.seen:
            say(signals.seen, " before it was done: run the same command again.")
        signals.leave()
    if signals.seen:
        sys.exit(128 + signals.seen)
