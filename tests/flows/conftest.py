"""One real reproduction of the study `smoke`, shared by the tests that look at what it leaves; a server for flows."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

import httpx
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
def harness():
    """A Prefect server on a database of its own, for the flows that a module calls."""
    from prefect.testing.utilities import prefect_test_harness

    with ExitStack() as stack:
        for left in (2, 1, 0):
            try:
                stack.enter_context(prefect_test_harness(server_startup_timeout=120))
                break
            except httpx.RemoteProtocolError:  # Ray, in another test, took the port that the harness had found free
                if not left:
                    raise
        yield
