"""One real reproduction of the study `smoke`, shared by the tests that look at what it leaves; a server for flows."""

import os
import subprocess
from pathlib import Path

import pytest
from support.processes import Answer, strive

# what other people's machines have set: none of it may matter
ELSEWHERE = {
    "HTTP_PROXY": "http://127.0.0.1:9",  # nothing listens there
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "NO_PROXY": "example.org",
    "no_proxy": "",
    "RAY_ADDRESS": "",
    "PREFECT_SERVER_API_AUTH_STRING": "user:secret",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////nowhere/prefect.db",
}


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> tuple[Path, Answer]:
    """The store and the answer of the first `strive reproduce smoke`, in a folder with packages of our names."""
    home = tmp_path_factory.mktemp("home")
    store, here = home / "store", home / "here"
    for name in ("flows", "pipeline", "json"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    subprocess.run(["git", "init", "-q", str(here)], check=True)
    env = {**ELSEWHERE, "GIT_DIR": str(here / ".git"), "XDG_CACHE_HOME": str(home / "cache")}
    words = ("reproduce", "smoke", "--store", str(store), "--workers", "2", "--json")
    answer = strive(*words, env=env, cwd=here)
    assert answer.code == 0, answer.err
    return store, answer


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """The embedded Prefect server with a database of its own, for the flows that a module calls."""
    from flows.local_server import prefect_api

    before = dict(os.environ)
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    changed = {"XDG_CACHE_HOME"}
    try:
        with prefect_api(loud=True):
            from prefect.events.worker import EventsWorker
            from prefect.logging.configuration import setup_logging
            from prefect.logging.handlers import APILogWorker
            from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

            setup_logging()  # now, as it takes pytest's handlers away: else the first flow of the process does it
            changed |= {name for name, value in os.environ.items() if before.get(name) != value}
            with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):  # tests read what tasks say
                yield
                APILogWorker.drain_all(timeout=10)  # before the server goes
                EventsWorker.drain_all(timeout=10)
    finally:
        for name in changed:
            os.environ.pop(name, None)
            os.environ.update({name: before[name]} if name in before else {})
