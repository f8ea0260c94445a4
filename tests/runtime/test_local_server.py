"""What is said when the embedded Prefect server cannot start; that it starts: tests/flows/test_reproduce.py."""

import re

import httpx
import pytest

from flows import local_server
from flows.local_server import _cause
from pipeline.errors import UserError


def test_the_cause_is_the_error_and_not_uvicorns_last_line():
    said = "Traceback:\nsqlite3.OperationalError: unable to open database\n\nApplication startup failed. Exiting.\n"
    assert _cause(said) == "sqlite3.OperationalError: unable to open database"
    assert _cause("") == ""


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("sqlite3.OperationalError: database or disk is full", "Free space for {}, or set XDG_CACHE_HOME"),
        ("OSError: [Errno 28] No space left on device", "Free space for {}"),
        ("sqlite3.OperationalError: attempt to write a readonly database", "Let this user write to {} and all in it"),
        ("sqlite3.OperationalError: unable to open database file", "Let this user write to {}"),
        ("", "it ended with code 1"),
        ("ModuleNotFoundError: No module named 'x'", "`strive doctor`"),
    ],
)
def test_what_helps_follows_from_the_cause(said, remedy, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "{said.replace("`", "")}" >&2; exit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(local_server.sys, "executable", str(python))
    server = local_server._Server()
    try:
        with pytest.raises(UserError, match=remedy.format(server._home)):
            server.ready()
    finally:
        server.stop()


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("")])
def test_a_server_that_fails_in_the_midst_is_one_sentence(error):
    with pytest.raises(UserError) as refused, local_server._answered(lambda: "the server failed: look"):
        raise error
    assert re.fullmatch(r"the server failed: look \((refused|ReadTimeout)\)\. What was finished.*", str(refused.value))
