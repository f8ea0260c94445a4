"""The images and labels of CIFAR-10 and CIFAR-100, and what the data sets are cut from."""

from pathlib import Path

import numpy as np

from pipeline.data import cifar_files
from pipeline.data.cifar_files import C10, C100, Files, Pickle, Published
from pipeline.data.download import Show, fetch
from pipeline.data.raw_images import Raw
from pipeline.data.unpickling import Untrusted, unpickle
from pipeline.errors import UserError
from pipeline.plan.datasets import Dataset

# what a data set is cut from; its training images are the first that were published
FROM = {"cifar10": C10, "cifar10-2000": C10, "cifar10-held-out": C10, "cifar100": C100}
HELD_OUT = {"cifar10-held-out"}  # its test images are the last of the training images, else the first of the test's


def read(dataset: Dataset, data_dir: str | None, show: Show) -> Raw:
    """The raw data of the data set, from the data directory or the archive in the cache, else downloaded.

    UserError, naming the file, where what is there is not what was published and nothing else is; before a download
    where the data directory holds the binary or the Matlab version.
    """
    published = FROM[dataset.name]
    places = cifar_files.places(published, data_dir)
    before = missed(dataset, data_dir)
    if not places:
        return _cut(dataset, published, _downloaded(published, data_dir, lambda text: show(before + text)))
    if before:
        show(f"{before}read from {places[0]}")
    for place, following in zip(places, [*places[1:], None], strict=False):
        try:
            return _cut(dataset, published, place)
        except UserError as error:
            if following is None:
                raise
            show(f"{str(error).removesuffix(cifar_files.advice(published))}Read from {following} instead.")
    raise AssertionError("a place was read or its error raised")


def find(dataset: Dataset, data_dir: str | None, digests: bool = False) -> Path | None:
    """The folder or the archive that the data set would be read from; None where it would have to be downloaded.

    UserError where a folder is not whole, or an archive not the published one, and nothing else is there. With
    `digests` the contents of a folder's files are compared too; without, they are when they are read.
    """
    published = FROM[dataset.name]
    places = cifar_files.places(published, data_dir)
    if not places:
        _refuse_other_version(published, data_dir)
    for place, following in zip(places, [*places[1:], None], strict=False):
        try:
            cifar_files.check_whole(published, place, digests)
            return place
        except UserError:
            if following is None:
                raise
    return None


def missed(dataset: Dataset, data_dir: str | None) -> str:
    """ "not in FOLDER: ", to begin a message with, where a data directory is given and the data set is not in it."""
    published = FROM[dataset.name]
    if data_dir is None or cifar_files.places(published, data_dir) != cifar_files.places(published, None):
        return ""
    other = cifar_files.other_version(published, data_dir)
    return f"not in {data_dir} ({other}): " if other else f"not in {data_dir}: "


def _downloaded(published: Published, data_dir: str | None, show: Show) -> Path:
    _refuse_other_version(published, data_dir)
    archive = published.archive
    show(f"{archive.name} is downloaded, {archive.bytes / 1e6:.0f} MB")
    return fetch(archive, show, data_dir)


def _refuse_other_version(published: Published, data_dir: str | None) -> None:
    if other := cifar_files.other_version(published, data_dir):
        archive = published.archive
        raise UserError(
            f"{other}; strive reads the Python version. Put {archive.name} ({archive.bytes / 1e6:.0f} MB, "
            f"{archive.mirrors[0]}) there too, or leave --data-dir and STRIVE_DATA_DIR out, and it is downloaded."
        )


def _cut(dataset: Dataset, published: Published, place: Path) -> Raw:
    """The data set's images and labels, from a folder or an archive."""
    held_out = dataset.name in HELD_OUT
    count = len(published.train) * published.file_images if held_out else dataset.train
    with cifar_files.opened(published, place) as files:
        images, labels = _first(count, published, published.train, published.file_images, files)
        if held_out:
            test_images, test_labels = images[-dataset.test :], labels[-dataset.test :]
        else:
            test = (published.test,)
            test_images, test_labels = _first(dataset.test, published, test, published.test_images, files)
    return Raw(images[: dataset.train], labels[: dataset.train], test_images, test_labels)


def _first(
    count: int, published: Published, wanted: tuple[Pickle, ...], file_images: int, files: Files
) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` images (count, 3, 32, 32) and labels (count,) of the files, unsigned bytes."""
    images, labels = np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.uint8)
    for begin, file in zip(range(0, count, file_images), wanted, strict=False):
        taken = min(file_images, count - begin)
        data, classes = _read(published, file, file_images, files)
        images[begin : begin + taken] = data[:taken].reshape(-1, 3, 32, 32)
        labels[begin : begin + taken] = classes[:taken]
    return images, labels


def _read(published: Published, wanted: Pickle, count: int, files: Files) -> tuple[np.ndarray, np.ndarray]:
    """The rows (count, 3072) of one file and their labels (count,); UserError when it is not what was published."""
    written = cifar_files.read(published, wanted, files)
    wrong = f"{files.place}/{wanted.name} is not the published file"
    expected = f"expected {count:,} images of 3,072 bytes and their {published.labels!r} below {published.classes}"
    advice = cifar_files.advice(published)
    try:
        content = unpickle(written)
    except Untrusted as error:
        raise UserError(f"{wrong}: {error}; {expected}. {advice}") from error
    content = content if isinstance(content, dict) else {}
    data, labels = content.get("data"), content.get(published.labels)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (count, 3072):
        found = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else "no array"
        raise UserError(f"{wrong}: {expected}, found {found} under 'data'. {advice}")
    known = range(published.classes)
    listed = labels if isinstance(labels, list) else []
    if len(listed) != count or not all(isinstance(label, int) and label in known for label in listed):
        raise UserError(f"{wrong}: {expected}, found other labels. {advice}")
    return data, np.array(listed, np.uint8)
