"""What the commands share: their arguments and options, said once, and how an error is answered."""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import STUDIES
from pipeline.store.objects import Store

# what a study, a run, a store are, said once for every command
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help=f"The study: {', '.join(STUDIES)}.")]
RunArgument = Annotated[str, typer.Argument(help="The run's id as `strive plan` prints it, or its beginning.")]
StoreOption = Annotated[
    str | None, typer.Option(help="Folder or s3://bucket/prefix.  [default: $STRIVE_STORE, else ./strive-store]")
]
SeedsOption = Annotated[
    int | None, typer.Option(help="Seeds 0 to this less one.  [default: the study's own, 1 for digits, 5 for table-3]")
]
PublishedSeedsOption = Annotated[
    int | None, typer.Option("--seeds", help="Seeds 0 to this less one.  [default: as the study's tables have them]")
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Training processes.  [default: one for every GPU, else every CPU core]")
]
DataDirOption = Annotated[
    str | None,
    typer.Option(help="Folder with the published data sets.  [default: $STRIVE_DATA_DIR, else they are downloaded]"),
]
ImagesOption = Annotated[
    str, typer.Option(help="Test images to map: 10, of every class in turn; or 0:1000, or 3,17,200:300.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead; its keys are stable.")]


def answered(command: Callable) -> Callable:
    """Turn a refusal into a sentence and exit code 2, a failure of the work into one and exit code 1."""

    @wraps(command)
    def run(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except UserError as refused:
            typer.echo(f"strive: {refused}", err=True)
            raise typer.Exit(2) from refused
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except OSError as failure:  # of the store more often than not
            typer.echo(f"strive: {failure}. `strive doctor` looks at what is needed and says how to mend it.", err=True)
            raise typer.Exit(1) from failure
        except (RuntimeError, ValueError) as failure:
            typer.echo(f"strive: {type(failure).__name__}: {failure}", err=True)
            raise typer.Exit(1) from failure

    return run


def find_run(store: Store, text: str) -> Experiment:
    """The experiment whose id begins so, among the studies' and the store's."""
    from pipeline.store.catalogue import find

    return find(store, text)


def words(text: str | None) -> tuple[str, ...] | None:
    """A list with commas, each word once; None for none."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip())) if text else None


def raise_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that everything we started is stopped."""

    def unwind(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, unwind)
