"""Prefect's embedded server in a process of our own: it starts while we import, and ends when we end, however we do.

Prefect's own start of it costs this process another 6 seconds of imports, comes after everything else, and leaves the
server running for ever when this process is killed.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from flows import prefect_schema
from flows.prefect_server import configured
from pipeline.errors import UserError
from pipeline.runtime.environment import bypass_proxies_on_loopback, child_environment, without_socks
from pipeline.runtime.settings import cache

START_SECONDS = 180.0  # a first start may have a database to migrate, on a busy machine
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
}


@contextmanager
def prefect_api(loud: bool = False, meanwhile: Callable[[], None] | None = None) -> Iterator[None]:
    """Inside, flows report to the configured Prefect server, or to an embedded one when none is configured. UserError
    where the configured one does not answer.

    Enter it before prefect is imported; `meanwhile` is called while the embedded server starts.
    """
    for name, value in QUIET.items():
        if not (loud and "LOGGING" in name):
            os.environ.setdefault(name, value)
    bypass_proxies_on_loopback()
    server = None if os.environ.get("PREFECT_API_URL") else _Server()
    try:
        found = configured()  # seconds, while the server starts
        if found.url:
            found.insist()
        if server is None or found.url:
            with _answered(lambda: f"the Prefect server at {found.url} failed: look into its log"):
                yield
        else:
            from prefect.settings import (
                PREFECT_API_URL,
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
                PREFECT_LOGGING_TO_API_ENABLED,
                temporary_settings,
            )

            if meanwhile:
                meanwhile()
            server.ready()
            # its log is not read, and its heartbeats are not watched: at the end of every flow run, Prefect waits up
            # to a second for the thread that sends them
            unread = {PREFECT_LOGGING_TO_API_ENABLED: False, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
            with (
                without_socks(),
                temporary_settings({PREFECT_API_URL: server.url, **unread}),
                _answered(server.trouble),
            ):
                yield
    finally:
        if server:
            server.stop()


@contextmanager
def _answered(trouble: Callable[[], str]) -> Iterator[None]:
    """Inside, what a Prefect server answers wrongly, or no more, is one sentence: `trouble`."""
    from httpx import HTTPError

    try:
        yield
    except HTTPError as error:  # Prefect's own is one of these
        said = str(error).strip().splitlines() or [type(error).__name__]
        short = said[0].partition(" for url")[0]
        raise UserError(f"{trouble()} ({short}). What was finished is kept: run the same command again.") from error


class _Server:
    """`python -m flows.local_server SOCKET`, which ends with this process: its standard input is our pipe."""

    def __init__(self):
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe that is not read would stop it one day
        environment = _environment()
        self._home = environment["PREFECT_HOME"]
        with socket.socket() as bound:  # handed on bound, so that no other process can take its port
            bound.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flows.local_server", str(bound.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                env=environment,
                cwd=self._home,  # Prefect reads .env, prefect.toml and pyproject.toml of its working directory
                pass_fds=[bound.fileno()],
                start_new_session=True,  # Ctrl-C is for us; the server ends after the flow has said how it went
            )

    def ready(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        ended = self._process.poll()
        self._process.kill()
        why = self._why() or (f"it ended with code {ended}" if ended else f"no answer in {START_SECONDS:.0f} s")
        raise UserError(f"Prefect's embedded server did not start: {why}. {_remedy(why, self._home)}")

    def trouble(self) -> str:
        """Why it does not answer as it should, and what helps."""
        why = self._why() or "it says nothing of why"
        return f"Prefect's embedded server failed: {why}. {_remedy(why, self._home)}"

    def _why(self) -> str:
        file = self._said.fileno()  # read without a seek, which would move where the server writes, too
        return _cause(os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace"))

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._said.close()


def _environment() -> dict[str, str]:
    """The server is ours: its database is not the user's, nor that of another version, and no setting is inherited."""
    ours = {n: v for n, v in child_environment().items() if n in QUIET or not n.startswith("PREFECT_")}
    home = cache().parent / f"prefect-{version('prefect')}"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"Prefect's embedded server needs the folder {home}: {error.strerror}; set XDG_CACHE_HOME"
        ) from None
    return ours | {"PREFECT_HOME": str(home)}


def _cause(said: str) -> str:
    """The last error that it said; uvicorn's own last line is the same whatever the cause."""
    lines = [line.strip() for line in said.strip().splitlines()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line) or "[Errno" in line]
    return (errors or lines or [""])[-1]


def _remedy(why: str, home: str) -> str:
    if re.search(r"is full|No space left|quota|disk I/O error", why):
        return f"Free space for {home}, or set XDG_CACHE_HOME."
    if re.search(r"readonly|unable to open database|Permission denied|Read-only", why):
        return f"Let this user write to {home} and all in it, or set XDG_CACHE_HOME."
    return "`strive doctor` checks the installation."


def _serve(descriptor: int) -> None:
    """The server process, on an inherited socket."""

    def end_with_parent() -> None:
        sys.stdin.read()  # returns when the other end of the pipe is closed
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    prefect_schema.create(Path(os.environ["PREFECT_HOME"]))
    import uvicorn
    from prefect.server.api.server import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(ephemeral=True, final=True), log_level="error"))
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
