"""CIFAR of twelve images, as it was published: two training files of four and a test file."""

import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.data import cifar, download, sources
from pipeline.plan.datasets import Dataset

RNG = np.random.default_rng(0)
PARTS = [(RNG.integers(0, 256, (4, 3072), np.uint8), RNG.integers(0, 10, 4).tolist()) for _ in range(3)]
FILES = tuple(cifar.Pickle(name) for name in ("data_batch_1", "data_batch_2", "test_batch"))
TWO = replace(cifar.C10, train=FILES[:2], file_images=4, test=FILES[2], test_images=4)
SMALL = Dataset("small", 32, 10, 8, 4, None)


def write(folder: Path, name: str, data: np.ndarray, labels: list[int], key: str = "labels") -> None:
    """A file of images (N, 3072) as pickle.dumps made it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(pickle.dumps({"data": data[::-1][::-1], key: labels}, 4))


def read(dataset: Dataset, top: Path) -> sources.Raw:
    """The raw images of the data set in a data directory."""
    return sources.raw(dataset, str(top))


def pack(published: Path, monkeypatch: pytest.MonkeyPatch, file: Path):
    """The archive of the published folder as a file, and the data set "small" pinned to it; returns the archive."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as tar:
        tar.add(published / TWO.folder, TWO.folder)
    archive = replace(TWO.archive, bytes=file.stat().st_size, sha256=download.digest(file))
    monkeypatch.setitem(cifar.FROM, "small", replace(cifar.FROM["small"], archive=archive))
    return archive
