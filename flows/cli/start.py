"""How the command begins and ends: streams and libraries as it needs them, whatever the user's environment says."""

import atexit
import io
import os
import sys

SIZES = ("COLUMNS", "LINES", "TERMINAL_WIDTH")  # of a terminal; what is no number of 1 or more is no size


class _StandardError(io.FileIO):
    """Standard error that may be full or have no reader: what cannot be said there changes no exit code."""

    def write(self, data, /) -> int:
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def whole_streams() -> None:
    """Open what was closed, or the next file that is opened would be printed to; print every character somehow."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # open as long as the process lives
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    encoding = (sys.stderr and sys.stderr.encoding) or "utf-8"
    raw = io.BufferedWriter(_StandardError(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of Latin letters, a path that is no UTF-8
    for name in SIZES:
        if (text := os.environ.get(name)) is not None and (not text.isdecimal() or int(text) < 1):
            del os.environ[name]


def usual_python() -> None:
    """Let what PYTHONWARNINGS and PYTHONOPTIMIZE say of the user's own code be nothing to our libraries: Ray starts
    neither where a warning is an error nor without docstrings."""
    os.environ.pop("PYTHONOPTIMIZE", "")
    if os.environ.pop("PYTHONWARNINGS", ""):
        import warnings

        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)


def leave(ended: list) -> None:
    """End the process now, all that was to be done at its end being done: Python would take torch apart first, for more
    than a second. `ended`: the argument of the SystemExit, where there was one."""
    if any(isinstance(status, str) for status in ended):
        return  # Python prints it
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # Python has a status for it
    os._exit(next(filter(None, ended), 0))


def main() -> None:
    """Entry point of the command."""
    ended: list = []
    atexit.register(leave, ended)  # registered first, it is called last
    try:
        _answer()
    except SystemExit as end:
        ended.append(end.code)
        raise
    except BaseException:  # Python prints it, and this is its status for that
        ended.append(1)
        raise


def _answer() -> None:
    try:
        whole_streams()
        usual_python()
        from flows.cli.stop import stoppable

        with stoppable():
            from flows.cli.answers import output_answered
            from flows.cli.app import main as command

            with output_answered():
                command()
    except KeyboardInterrupt:  # before a command has begun
        sys.exit(130)
