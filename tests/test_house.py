"""The house holds together: contracts between rooms, and names that hide nobody else's."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_rooms_import_only_from_their_left():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", sorted(ROOT.glob("flows/*.py")), ids=lambda file: file.name)
def test_no_flow_file_hides_a_library(file):
    """Prefect puts a deployed flow's folder first on the path: flows/requests.py would be everybody's requests."""
    assert file.stem == "__init__" or find_spec(file.stem) is None
