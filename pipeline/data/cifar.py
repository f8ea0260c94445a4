"""CIFAR-10 and CIFAR-100 as published: folders of Python pickles, unpacked or in their archives."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.download import CIFAR_10, CIFAR_100, Archive, Show, cached, check, fetch
from pipeline.data.raw_images import Raw
from pipeline.data.unpickling import Untrusted, unpickle
from pipeline.errors import UserError
from pipeline.plan.datasets import Dataset


@dataclass(frozen=True)
class Pickle:
    """A published file; without a pin, whatever holds images and labels of the right kind passes for it."""

    name: str
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Published:
    """A folder of pickles; each holds `data`, a row of 3,072 bytes an image, red, green, blue, and its labels."""

    folder: str
    archive: Archive
    train: tuple[Pickle, ...]  # in their published order
    file_images: int  # in each of them
    test: Pickle
    test_images: int
    labels: str  # their key
    classes: int


C10 = Published(
    "cifar-10-batches-py",
    CIFAR_10,
    (
        Pickle("data_batch_1", 31_035_704, "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd"),
        Pickle("data_batch_2", 31_035_320, "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8"),
        Pickle("data_batch_3", 31_035_999, "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9"),
        Pickle("data_batch_4", 31_035_696, "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b"),
        Pickle("data_batch_5", 31_035_623, "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154"),
    ),
    10_000,
    Pickle("test_batch", 31_035_526, "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831"),
    10_000,
    "labels",
    10,
)
C100 = Published(
    "cifar-100-python",
    CIFAR_100,
    (Pickle("train", 155_249_918, "735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b"),),
    50_000,
    Pickle("test", 31_049_707, "4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864"),
    10_000,
    "fine_labels",
    100,
)

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

    Refused where the folder is not whole; other bytes of the right number are found when they are read.
    """
    published = FROM[dataset.name]
    place = _find(published, data_dir)
    if place is not None and place.is_dir():
        _sized(published, place)
    return place


def _sized(published: Published, folder: Path) -> None:
    """Refused when files are missing from the folder, or are longer or shorter than published."""
    files = (*published.train, published.test)
    if missing := [file.name for file in files if not (folder / file.name).is_file()]:
        raise UserError(f"{folder} lacks {', '.join(missing)}. {_mend(published)}")
    sizes = [(file, (folder / file.name).stat().st_size) for file in files]
    if wrong := [
        f"{file.name} has {size:,} bytes instead of {file.bytes:,}"
        for file, size in sizes
        if file.bytes not in (None, size)
    ]:
        raise UserError(f"{folder} does not hold the published files: {', '.join(wrong)}. {_mend(published)}")


def missed(dataset: Dataset, data_dir: str | None) -> str:
    """What to begin with where a data directory is given and the data set is not in it; else nothing."""
    return _missed(FROM[dataset.name], data_dir)


def _missed(published: Published, data_dir: str | None) -> str:
    return f"not in {data_dir}: " if data_dir is not None and _given(published, data_dir) is None else ""


def _find(published: Published, data_dir: str | None) -> Path | None:
    given = _given(published, data_dir) if data_dir is not None else None
    file = cached(published.archive)
    return given or (file if file.exists() else None)


def _given(published: Published, data_dir: str) -> Path | None:
    """The folder or the archive in the data directory."""
    top = Path(data_dir).expanduser()
    if not top.is_dir():
        raise UserError(f"the data directory {top} is no folder: mend --data-dir or STRIVE_DATA_DIR, or leave it out")
    if top.name == published.folder:
        return top
    return next((path for path in (top / published.folder, top / published.archive.name) if path.exists()), None)


@dataclass(frozen=True)
class _Files:
    """Published files by name."""

    place: str
    bytes: Callable[[str], bytes]


@contextmanager
def _opened(published: Published, data_dir: str | None, show: Show) -> Iterator[_Files]:
    path, archive = _find(published, data_dir), published.archive
    if path is not None and path.is_dir():
        yield _Files(str(path), lambda name: (path / name).read_bytes())
        return
    before = _missed(published, data_dir)
    if path is None:
        show(f"{before}{archive.name} is downloaded, {archive.bytes / 1e6:.0f} MB")
        path = fetch(archive, lambda text: show(before + text), data_dir)
    else:
        show(f"{before}read from {path}")
        check(archive, path)
    with tarfile.open(path) as tar:
        yield _Files(f"{path}:{published.folder}", lambda name: _member(tar, f"{published.folder}/{name}"))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is no file"  # the archive is the published one: its digest was checked
    with file:
        return file.read()


def _first(
    count: int, published: Published, wanted: tuple[Pickle, ...], file_images: int, files: _Files
) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` images (count, 3, 32, 32) and labels of the files."""
    images, labels = np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.uint8)
    for at, file in zip(range(0, count, file_images), wanted, strict=False):
        some = min(file_images, count - at)
        data, classes = _read(published, file, file_images, files)
        images[at : at + some] = data[:some].reshape(-1, 3, 32, 32)
        labels[at : at + some] = classes[:some]
    return images, labels


def _read(published: Published, wanted: Pickle, count: int, files: _Files) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one file and their labels; Refused when it is not what was published."""
    file = f"{files.place}/{wanted.name}"
    mend = _mend(published)
    expected = f"expected {count:,} images of 3,072 bytes and their {published.labels!r} below {published.classes}"
    try:
        written = files.bytes(wanted.name)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; {expected}. {mend}") from error
    found = hashlib.sha256(written).hexdigest()
    if wanted.sha256 not in (None, found):
        raise UserError(
            f"{file} is not the published file: expected SHA-256 {wanted.sha256[:16]}… ({wanted.bytes:,} bytes), "
            f"found {found[:16]}… ({len(written):,} bytes). {mend}"
        )
    try:
        content = unpickle(written)
    except Untrusted as error:
        raise UserError(f"{file} is not the published file: {error}; {expected}. {mend}") from error
    content = content if isinstance(content, dict) else {}
    data, labels = content.get("data"), content.get(published.labels)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (count, 3072):
        found = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else "no array"
        raise UserError(f"{file} is not the published file: {expected}, found {found} under 'data'. {mend}")
    known = range(published.classes)
    if not isinstance(labels, list) or len(labels) != count or any(x not in known for x in labels):
        raise UserError(f"{file} is not the published file: {expected}, found other labels. {mend}")
    return data, np.array(labels, np.uint8)


def _mend(published: Published) -> str:
    return (
        f"Unpack the whole of the published {published.archive.name} there, "
        "or leave --data-dir and STRIVE_DATA_DIR out, and it is downloaded."
    )
