"""One real reproduction of the study `smoke`, shared by the tests that look at what it leaves."""

from pathlib import Path

import pytest
from support.processes import Answer, strive


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
