"""The rooms keep their contracts, no file hides a library, and documents name files that are there."""

import re
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


DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "infra/README.md",
    *(f"docs/{page.name}" for page in ROOT.glob("docs/*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_files_that_are_there(document):
    folder = (ROOT / document).parent
    text = (ROOT / document).read_text()
    named = re.findall(r"`((?:\.\./)?(?:pipeline|flows|tests|infra|\.ci)/[\w./-]*)`", text)
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text)
    assert named or linked or folder.name == "docs"
    assert [path for path in (*named, *linked) if not (folder / path).exists() and not (ROOT / path).exists()] == []
