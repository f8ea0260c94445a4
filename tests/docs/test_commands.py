"""Every command and option that a document names is one that `strive` has."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from flows.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "infra/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
COMMANDS = typer.main.get_command(app)


def commands(text):
    """What stands behind `strive` in code, in blocks or between words."""
    code = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.split("#")[0] for block in code for line in block.splitlines()]
    lines += [
        part.replace("\n", " ")
        for part in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    ]
    for line in lines:
        if found := re.search(r"(?:^|uv run |&& |runner |[A-Z]=\S+ )strive ([a-z][a-z-]*\b.*)$", line.strip()):
            yield shlex.split(found[1].rstrip("& "))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_its_commands_exist_with_their_options(document):
    for name, *words in commands(document.read_text()):
        assert name in COMMANDS.commands, f"strive {name}"
        options = {option for parameter in COMMANDS.commands[name].params for option in parameter.opts}
        for word in words:
            if word.startswith("-"):
                assert word.split("=")[0] in options | {"--help", "-h"}, f"strive {name} {word}"


def test_commands_are_found_in_text():
    found = list(commands("`strive plan x --all` and\n```\nuv run strive table STUDY --kind cells  # a remark\n```\n"))
    assert found == [["table", "STUDY", "--kind", "cells"], ["plan", "x", "--all"]]
