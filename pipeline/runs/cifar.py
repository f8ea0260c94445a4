"""CIFAR-10 and CIFAR-100 as published: folders of Python pickles, unpacked or in their archives."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.paper.refused import Refused
from pipeline.plan.datasets import Dataset
from pipeline.runs.archives import CIFAR_10, CIFAR_100, Archive, Show, cached, check, fetch
from pipeline.runs.raw import Raw
from pipeline.runs.unpickling import Untrusted, unpickle


@dataclass(frozen=True)
class Published:
    """A folder of pickles; each holds `data`, a row of 3,072 bytes an image, red, green, blue, and its labels."""

    folder: str
    archive: Archive
    train: tuple[str, ...]  # files, in their published order
    file_images: int  # in each of them
    test: str
    test_images: int
    labels: str  # their key
    classes: int


C10 = Published(
    "cifar-10-batches-py",
    CIFAR_10,
    tuple(f"data_batch_{n}" for n in range(1, 6)),
    10_000,
    "test_batch",
    10_000,
    "labels",
    10,
)
C100 = Published("cifar-100-python", CIFAR_100, ("train",), 50_000, "test", 10_000, "fine_labels", 100)

# what a data set is cut from; its training images are the first that were published
FROM = {"cifar10": C10, "cifar10-2000": C10, "cifar10-held-out": C10, "cifar100": C100}
HELD_OUT = {"cifar10-held-out"}  # its test images are the last of the training images, else the first of the test's


def read(dataset: Dataset, data_dir: str | None, show: Show) -> Raw:
    """The raw data of the data set, from the data directory, else from its archive, which is fetched unless cached."""
    published = FROM[dataset.name]
    held_out = dataset.name in HELD_OUT
    wanted = len(published.train) * published.file_images if held_out else dataset.train
    with _opened(published, data_dir, show) as files:
        images, labels = _first(wanted, published, published.train, published.file_images, files)
        if held_out:
            test_images, test_labels = images[-dataset.test :], labels[-dataset.test :]
        else:
            test = (published.test,)
            test_images, test_labels = _first(dataset.test, published, test, published.test_images, files)
    return Raw(images[: dataset.train], labels[: dataset.train], test_images, test_labels)


def find(dataset: Dataset, data_dir: str | None) -> Path | None:
    """The folder or the archive that the data set would be read from; None where it would have to be downloaded.

    Refused where the folder is not whole.
    """
    published = FROM[dataset.name]
    place = _find(published, data_dir)
    if place is not None and place.is_dir():
        missing = [name for name in (*published.train, published.test) if not (place / name).is_file()]
        if missing:
            raise Refused(f"{place} lacks {', '.join(missing)}. {_mend(published)}")
    return place


def _find(published: Published, data_dir: str | None) -> Path | None:
    if data_dir is not None:
        top = Path(data_dir).expanduser()
        if not top.is_dir():
            raise Refused(f"the data directory {top} is no folder: mend --data-dir or STRIVE_DATA_DIR, or leave it out")
        if top.name == published.folder:
            return top
        for path in (top / published.folder, top / published.archive.name):
            if path.exists():
                return path
    file = cached(published.archive)
    return file if file.exists() else None


@dataclass(frozen=True)
class _Files:
    """Published files by name."""

    place: str
    bytes: Callable[[str], bytes]


@contextmanager
def _opened(published: Published, data_dir: str | None, show: Show) -> Iterator[_Files]:
    path = _find(published, data_dir)
    if path is not None and path.is_dir():
        yield _Files(str(path), lambda name: (path / name).read_bytes())
        return
    if path is None:
        path = fetch(published.archive, show)
    else:
        check(published.archive, path)
    with tarfile.open(path) as tar:
        yield _Files(f"{path}:{published.folder}", lambda name: _member(tar, f"{published.folder}/{name}"))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is no file"  # the archive is the published one: its digest was checked
    with file:
        return file.read()


def _first(
    count: int, published: Published, names: tuple[str, ...], file_images: int, files: _Files
) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` images (count, 3, 32, 32) and labels of the files."""
    images, labels = np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.uint8)
    for at, name in zip(range(0, count, file_images), names, strict=False):
        some = min(file_images, count - at)
        data, classes = _file(published, name, file_images, files)
        images[at : at + some] = data[:some].reshape(-1, 3, 32, 32)
        labels[at : at + some] = classes[:some]
    return images, labels


def _file(published: Published, name: str, count: int, files: _Files) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one file and their labels; Refused when it is not what was published."""
    file = f"{files.place}/{name}"
    mend = _mend(published)
    expected = f"expected {count:,} images of 3,072 bytes and their {published.labels!r} below {published.classes}"
    try:
        content = unpickle(files.bytes(name))
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}; {expected}. {mend}") from error
    except Untrusted as error:
        raise Refused(f"{file} is not the published file: {error}; {expected}. {mend}") from error
    content = content if isinstance(content, dict) else {}
    data, labels = content.get("data"), content.get(published.labels)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (count, 3072):
        found = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else "no array"
        raise Refused(f"{file} is not the published file: {expected}, found {found} under 'data'. {mend}")
    known = range(published.classes)
    if not isinstance(labels, list) or len(labels) != count or any(x not in known for x in labels):
        raise Refused(f"{file} is not the published file: {expected}, found other labels. {mend}")
    return data, np.array(labels, np.uint8)


def _mend(published: Published) -> str:
    return (
        f"Unpack the whole of the published {published.archive.name} there, "
        "or leave --data-dir and STRIVE_DATA_DIR out, and it is downloaded."
    )
