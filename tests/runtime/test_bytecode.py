"""A package without bytecode, imported by a process and its child under PYTHONDONTWRITEBYTECODE."""

import os
import py_compile
import subprocess
import sys

import pytest

SET = ("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")  # by a developer, or not
CODE = """
import subprocess, sys
from pipeline.runtime import bytecode
bytecode.LARGE, bytecode.FREE_BYTES = ("large",), float(sys.argv[1])
bytecode.keep_bytecode()
import large
subprocess.run([sys.executable, "-c", "import large; print(large.__cached__)"], check=True)
"""


@pytest.fixture
def seen(tmp_path):
    """Where the child finds or would keep the bytecode of `large`, given more variables."""
    source = tmp_path / "large.py"
    source.write_text("x = 1\n")

    def run(free="0", **more):
        env = {name: value for name, value in os.environ.items() if name not in SET}
        ours = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), **more}
        words = [sys.executable, "-c", CODE, free]
        done = subprocess.run(words, env=env | ours, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


def test_it_is_kept_in_our_cache_and_not_beside_the_source(seen, tmp_path):
    there = seen(PYTHONDONTWRITEBYTECODE="1")
    assert there.startswith(str(tmp_path / "cache/strive/bytecode"))
    assert os.path.exists(there)
    assert not (tmp_path / "__pycache__").exists()


def test_a_compiled_environment_is_used_as_it_is(seen, tmp_path):
    beside = str(tmp_path / "__pycache__" / f"large.{sys.implementation.cache_tag}.pyc")
    py_compile.compile(str(tmp_path / "large.py"), beside)
    assert seen(PYTHONDONTWRITEBYTECODE="1") == beside
    assert not (tmp_path / "cache").exists()


def test_a_folder_of_the_users_own_stays(seen, tmp_path):
    own = str(tmp_path / "own")
    assert seen(PYTHONDONTWRITEBYTECODE="1", PYTHONPYCACHEPREFIX=own).startswith(own)


def test_without_the_variable_python_keeps_it_as_always(seen, tmp_path):
    assert os.path.exists(tmp_path / "__pycache__") is False
    assert seen() == str(next(tmp_path.glob("__pycache__/large*.pyc")))


def test_without_a_folder_that_can_be_written_nothing_changes(seen, tmp_path):
    """A file is in the way of the cache; and a user without a home."""
    (tmp_path / "cache").write_text("")
    beside = str(tmp_path / "__pycache__")
    assert seen(PYTHONDONTWRITEBYTECODE="1").startswith(beside)
    assert seen(PYTHONDONTWRITEBYTECODE="1", XDG_CACHE_HOME="", HOME="/proc/nowhere").startswith(beside)
    assert not (tmp_path / "__pycache__").exists()


def test_on_a_disk_that_is_nearly_full_nothing_changes(seen, tmp_path):
    assert seen("inf", PYTHONDONTWRITEBYTECODE="1").startswith(str(tmp_path / "__pycache__"))
