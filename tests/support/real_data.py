"""Published data for tests that want it: from STRIVE_DATA_DIR, else unpacked from shared/ beside the checkout."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"
GIVEN = os.environ.pop("STRIVE_DATA_DIR", None)  # no test but those that ask for it looks there


def real_data(config: pytest.Config, *names: str) -> Path:
    """A folder that holds these files or folders of CIFAR; skips the test where there is none.

    Unpacking a file of 10,000 images takes half a minute, once: it is kept in pytest's cache.
    """
    if GIVEN and all((Path(GIVEN) / name).exists() for name in names):
        return Path(GIVEN)
    script = SHARED / "unpack.py"
    if not script.exists():
        pytest.skip("no real CIFAR here: set STRIVE_DATA_DIR to a folder that holds it unpacked")
    assert config.cache is not None
    folder = Path(config.cache.mkdir("cifar"))
    with open(folder / "lock", "w", encoding="utf-8") as lock:  # one process unpacks, others wait for it
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = [sys.executable, str(script), str(SHARED / "packed"), str(folder), *names]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode or not all((folder / name).exists() for name in names):
        pytest.skip(f"the packed CIFAR beside this checkout is not whole: {done.stderr or done.stdout}")
    return folder


def photographs() -> Path:
    """The folder of 800 ImageNet photographs, 10 classes, 600 for training; skips the test where it is not there."""
    folder = SHARED / "imagenette-mini"
    if not folder.is_dir():
        pytest.skip("no imagenette-mini beside this checkout")
    return folder
