"""A wrong word on the command line, answered in a sentence as a wrong request is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

UsageError: Any = typer.BadParameter.__base__  # which typer does not export
PLAIN = (  # what pydantic says, and what people say
    ("Input should be a valid integer, unable to parse string as an integer", "it must be a whole number"),
    ("Input should be a valid number, unable to parse string as a number", "it must be a number"),
    ("(Possible options: ", "(near: "),
    ("Got unexpected extra argument(s)", "There is a word too many"),
)


class Commands(TyperGroup):
    """The group of all commands."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _in_a_sentence():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _in_a_sentence(ctx):
            return super().invoke(ctx)


@contextmanager
def _in_a_sentence(group: Any = None) -> Iterator[None]:
    try:
        yield
    except UsageError as wrong:
        if type(wrong).__name__ == "NoArgsIsHelpError":  # help was printed
            raise
        said = wrong.format_message()
        for formal, plain in PLAIN:
            said = said.replace(formal, plain)
        said = said[:1].lower() + said[1:].rstrip(".")
        end = "" if said.endswith("?") else "."
        command = wrong.ctx or group  # of an option without its value the context is not known
        at = " ".join(["strive", *(command.command_path.split()[1:] if command else [])])
        if command is group and group and group.invoked_subcommand in group.command.commands:
            at += f" {group.invoked_subcommand}"
        typer.echo(f"strive: {said}{end} `{at} -h` says what it takes.", err=True)
        raise typer.Exit(wrong.exit_code) from wrong
