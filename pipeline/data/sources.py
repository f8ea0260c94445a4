"""Where raw images come from: unsigned bytes and labels in the data set's two fixed parts, checked against its pin."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from pipeline.data import cifar, imagenet, own_data
from pipeline.data.download import Show
from pipeline.data.raw_images import Raw
from pipeline.errors import UserError
from pipeline.plan.datasets import Dataset


def silent(_text: str) -> None:
    """Shows nothing."""


def raw(dataset: Dataset, data_dir: str | None = None, show: Show = silent) -> Raw:
    """The raw data of a data set; UserError when it is not the data that its experiments were planned on."""
    if dataset.name in _SOURCES:
        found, advice = _SOURCES[dataset.name](), "Install the versions of uv.lock (uv sync) and try again."
    elif dataset.name in cifar.FROM:
        found, advice = cifar.read(dataset, data_dir, show), f"Put the published files into {data_dir or 'the cache'}."
    else:
        return own_data.read(dataset, _own_place(dataset), show)
    if dataset.sha256 is not None and found.sha256 != dataset.sha256:
        raise UserError(
            f"the images of {dataset.name} are not the ones this study is about: "
            f"expected SHA-256 {dataset.sha256[:16]}…, found {found.sha256[:16]}…. {advice}"
        )
    return found


def _own_place(dataset: Dataset) -> own_data.Place:
    place = own_data.place_of(dataset)
    if place is None:
        raise UserError(
            f"it is not known on this machine where the data set {dataset.name} lies: name it once as in the study or "
            "the command that planned it (imagefolder:DIR, npz:FILE or cifar:DIR)"
        )
    return place


def folder_of(dataset: Dataset, data_dir: str | None) -> str | None:
    """The folder in which the photographs of a data set in shards are looked for."""
    if (place := own_data.place_of(dataset)) is None:
        return data_dir
    own_data.verify(dataset, place)
    return place.path


def reach(dataset: Dataset, data_dir: str | None, digests: bool = False) -> tuple[str, str]:
    """Where the data set would come from, and what to do where it cannot ("" where it can); downloads nothing.

    UserError, naming the file, where files of the data set are there but are not the published ones: by their sizes
    and archives by their SHA-256; with `digests` also by the SHA-256 of unpacked CIFAR files, about a second a set, and
    by the number of photographs, a minute for ImageNet on a slow disk.
    """
    if dataset.name in _SOURCES:
        raw(dataset)
        return "the pinned images, from a package that is installed", ""
    if (place := own_data.place_of(dataset)) is not None:
        own_data.verify(dataset, place)
        return f"in {place.path}", ""
    if dataset.shard:
        folder = imagenet.find(dataset, data_dir)
        if folder and digests:
            imagenet.listed(dataset, data_dir)
        looked = f"in {data_dir}" if data_dir else "here"
        return (f"in {folder}", "") if folder else (f"not {looked}, and not to be downloaded", imagenet.advice(dataset))
    if dataset.name not in cifar.FROM:
        _own_place(dataset)
    place, archive = cifar.find(dataset, data_dir, digests), cifar.FROM[dataset.name].archive
    missed = cifar.missed(dataset, data_dir)
    if place is None:
        hosts = ", ".join(dict.fromkeys(urlsplit(address).netloc for address in archive.addresses()))
        return f"{missed}to be downloaded when it is needed, {archive.bytes / 1e6:.0f} MB from {hosts}", ""
    return f"{missed}in {place}", ""


def digits() -> Raw:
    """Scikit-learn's 1,797 handwritten digits, 8x8 gray -> 32x32 RGB; every fifth of each class is a test image."""
    table_NV = _digits_table()
    values_NP, classes = table_NV[:, :-1], table_NV[:, -1]
    gray_NHW = (values_NP.reshape(-1, 8, 8) * 255 + 8) // 16  # 0..16 -> 0..255, rounded
    large_NHW = gray_NHW.astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    images = np.repeat(large_NHW[:, None], 3, axis=1)
    labels = classes.astype(np.uint8)
    rank = np.zeros(len(labels), dtype=np.int64)  # of an image among those of its class
    for label in range(10):
        rank[labels == label] = np.arange((labels == label).sum())
    test = rank % 5 == 4
    return Raw(images[~test], labels[~test], images[test], labels[test])


def _digits_table() -> np.ndarray:
    """A row for each digit, 64 pixels from 0 to 16 and the class, as integers: the file that lies in scikit-learn."""
    spec = find_spec("sklearn")  # importing it takes seconds
    for folder in (spec and spec.submodule_search_locations) or ():
        if (file := Path(folder, "datasets/data/digits.csv.gz")).exists():
            return np.loadtxt(file, np.int64, delimiter=",")
    from sklearn.datasets import load_digits  # a version that keeps it elsewhere

    pixels_NP, classes = load_digits(return_X_y=True)
    return np.column_stack([pixels_NP, classes]).astype(np.int64)


_SOURCES: dict[str, Callable[[], Raw]] = {"digits": digits}
