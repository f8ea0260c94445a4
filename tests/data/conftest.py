"""A data directory with CIFAR of twelve images."""

import pytest
from support.small_cifar import FILES, PARTS, TWO, write

from pipeline.data import cifar


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Two training files of four images and a test file, as a data directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("small", "half", "held-out"):
        monkeypatch.setitem(cifar.FROM, name, TWO)
    monkeypatch.setattr(cifar, "HELD_OUT", {"held-out"})
    top = tmp_path / "data"
    for file, part in zip(FILES, PARTS, strict=True):
        write(top / TWO.folder, file.name, *part)
    return top
