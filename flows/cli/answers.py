"""How a command ends: errors in a sentence with an exit code, and signals."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from traceback import walk_tb

import typer

from flows.cli.stop import Signals, say
from pipeline.errors import StoreAway, StoreError, UserError
from pipeline.runtime.limits import MORE_MEMORY, lacks_memory

OURS = ("flows", "pipeline")  # one of these packages missing is a bug, no broken installation
PRINTERS = ("click", "typer", "rich")


@contextmanager
def refusal() -> Iterator[None]:
    """Answer a UserError with its sentence and exit code 2."""
    try:
        yield
    except UserError as refused:
        typer.echo(f"strive: {refused}", err=True)
        raise typer.Exit(2) from refused


def answered(command: Callable) -> Callable:
    """Answer a UserError with its sentence and exit code 2, another error of the work with one and exit code 1."""

    @wraps(command)
    def run(*args, **kwargs):
        try:
            with refusal():
                return command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:  # the program that read our output has seen enough
            _print_no_more()
            raise typer.Exit(141) from None
        except StoreError as failure:
            typer.echo(f"strive: {failure}", err=True)
            raise typer.Exit(1 if isinstance(failure, StoreAway) else 2) from failure
        except Exception as failure:
            if (said := _in_a_sentence(failure)) is None:
                raise
            typer.echo(f"strive: {said}", err=True)
            raise typer.Exit(1) from failure

    return run


def _in_a_sentence(failure: Exception) -> str | None:
    """What failed, and what helps; None where it is a bug, or standard output that cannot be written."""
    if lacks_memory(failure):
        return f"no memory is left: {MORE_MEMORY}"
    if isinstance(failure, OSError):  # of this machine
        helps = "`strive doctor` looks at what is needed and says how to fix it."
        return None if _of_output(failure) else f"{failure}. {helps}"
    if isinstance(failure, ImportError):  # a library that is absent or broken
        ours = (failure.name or "").partition(".")[0] in OURS
        return None if ours else f"{type(failure).__name__}: {failure}: `uv sync --reinstall` repairs it"
    if isinstance(failure, RuntimeError | ValueError):
        return f"{type(failure).__name__}: {failure}"
    return None


@contextmanager
def output_answered() -> Iterator[None]:
    """Around all of a command, help and version too: say in a sentence that standard output cannot be written."""
    try:
        yield
    except SystemExit as end:  # which typer and rich raise where the reader of their help has seen enough
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        _print_no_more()
        sys.exit(141)
    except OSError as failure:
        if not _of_output(failure):
            raise
        _print_no_more()
        print(f"strive: cannot write to standard output: {failure.strerror}: direct it elsewhere", file=sys.stderr)
        sys.exit(1)


def _of_output(error: BaseException) -> bool:
    """Whether it was raised where click, typer or rich print."""
    *_, (last, _line) = walk_tb(error.__traceback__)
    return last.f_globals.get("__name__", "").partition(".")[0] in PRINTERS


def _print_no_more() -> None:
    """What is left in the buffer of standard output would be said to be lost when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def interruptible(kept: Callable[[], str]) -> Iterator[None]:
    """Inside, SIGTERM, and SIGHUP of a terminal that was closed, unwind the stack as Ctrl-C does, so that everything we
    started is stopped; then it is said what is `kept`, and the exit code is 128 and the signal's number."""
    signals = Signals(lambda number: KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))
    try:
        yield
    except KeyboardInterrupt:
        say(signal.SIGINT, f". {kept()}")
        raise typer.Exit(130) from None
    except SystemExit:
        if signals.seen:
            say(signals.seen, f". {kept()}")
        raise
    finally:
        if not signals.seen:
            signals.restore()
