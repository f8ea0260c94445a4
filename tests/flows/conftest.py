"""One real reproduction of the study `smoke`, shared by the tests that look at what it leaves."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

STRIVE = [sys.executable, "-m", "flows.cli"]


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def strive(*words: str, env: dict[str, str] | None = None, timeout: float = 280) -> Answer:
    done = subprocess.run(
        [*STRIVE, *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> tuple[Path, Answer]:
    """The store and the answer of the first `strive reproduce smoke`."""
    home = tmp_path_factory.mktemp("home")
    store = home / "store"
    answer = strive(
        "reproduce", "smoke", "--store", str(store), "--workers", "2", "--json", env={"PREFECT_HOME": str(home)}
    )
    assert answer.code == 0, answer.err
    return store, answer
