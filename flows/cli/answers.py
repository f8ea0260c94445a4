"""How a command ends: errors in a sentence with an exit code, and signals."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import typer

from pipeline.errors import StoreAway, StoreError, UserError


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
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the program that read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except StoreError as failure:
            typer.echo(f"strive: {failure}", err=True)
            raise typer.Exit(1 if isinstance(failure, StoreAway) else 2) from failure
        except OSError as failure:  # of this machine
            typer.echo(f"strive: {failure}. `strive doctor` looks at what is needed and says how to fix it.", err=True)
            raise typer.Exit(1) from failure
        except (RuntimeError, ValueError) as failure:
            typer.echo(f"strive: {type(failure).__name__}: {failure}", err=True)
            raise typer.Exit(1) from failure

    return run


def raise_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that everything we started is stopped."""

    def unwind(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, unwind)
