"""CIFAR-10 and CIFAR-100 as published: which files there are, and where on this machine they lie.

A data set is read from the first of these that holds it: the folder of pickles in the data directory, the archive
there, the archive in the cache. Only the Python version is read; the binary and the Matlab version are named.
"""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.download import CIFAR_10, CIFAR_100, Archive, cached, check
from pipeline.errors import UserError
from pipeline.whole_path import whole_path


@dataclass(frozen=True)
class Pickle:
    """A published file; without a size and a digest every file with images and labels of the right kind is taken."""

    name: str
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Published:
    """A folder of pickles; each holds `data`, a row of 3,072 bytes an image, red, green, blue, and its labels."""

    title: str
    folder: str
    archive: Archive
    train: tuple[Pickle, ...]  # in their published order
    file_images: int  # in each of them
    test: Pickle
    test_images: int
    labels: str  # their key
    classes: int
    others: dict[str, str]  # folders and archives of the versions that are not read, each with its version

    @property
    def files(self) -> tuple[Pickle, ...]:
        return (*self.train, self.test)

    @property
    def other_names(self) -> dict[str, str]:
        """Names of what belongs to the versions that are not read, files included, each with its version."""
        endings = {"bin": "binary", "mat": "Matlab"}
        return self.others | {f"{file.name}.{end}": version for file in self.files for end, version in endings.items()}


C10 = Published(
    "CIFAR-10",
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
    {
        "cifar-10-batches-bin": "binary",
        "cifar-10-binary.tar.gz": "binary",
        "cifar-10-batches-mat": "Matlab",
        "cifar-10-matlab.tar.gz": "Matlab",
    },
)
C100 = Published(
    "CIFAR-100",
    "cifar-100-python",
    CIFAR_100,
    (Pickle("train", 155_249_918, "735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b"),),
    50_000,
    Pickle("test", 31_049_707, "4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864"),
    10_000,
    "fine_labels",
    100,
    {
        "cifar-100-binary": "binary",
        "cifar-100-binary.tar.gz": "binary",
        "cifar-100-matlab": "Matlab",
        "cifar-100-matlab.tar.gz": "Matlab",
    },
)


@dataclass(frozen=True)
class Files:
    """Published files by name, from a folder or an archive."""

    place: str  # for messages
    bytes: Callable[[str], bytes]


def top_of(data_dir: str) -> Path:
    """The data directory; UserError where it is none."""
    top = whole_path(data_dir)
    if top.is_file():
        raise UserError(f"--data-dir or STRIVE_DATA_DIR names the file {top}: name its folder {top.parent} instead")
    if not top.is_dir():
        raise UserError(f"the data directory {top} is no folder: correct --data-dir or STRIVE_DATA_DIR, or omit it")
    return top


def places(published: Published, data_dir: str | None) -> list[Path]:
    """Every folder and archive that the data set may be read from, in order; UserError where `data_dir` is no folder.

    Nothing is read: what lies there may be damaged.
    """
    try:
        own = _own_places(published, top_of(data_dir)) if data_dir is not None else []
    except OSError as error:
        raise UserError(f"cannot look into the data directory {data_dir}: {error.strerror}") from error
    return [*own, *(file for file in [cached(published.archive)] if file.exists())]


def _own_places(published: Published, top: Path) -> list[Path]:
    """The folder and the archive in the data directory, which may itself be the folder, under whatever name."""
    unpacked = published.archive.name.removesuffix(".tar.gz")  # some programs unpack into a folder of this name
    folders = [top / published.folder, top / unpacked / published.folder]
    if top.name == published.folder or all((top / file.name).is_file() for file in published.files):
        folders.insert(0, top)
    around = (top, top.parent) if top.name == published.folder else (top,)
    archives = [archive for folder in around if (archive := _archive(published.archive, folder))]
    return [*[folder for folder in folders if folder.is_dir()][:1], *archives[:1]]


def _archive(archive: Archive, folder: Path) -> Path | None:
    """The archive in a folder, by its name, else by its size: browsers and other libraries rename it."""
    if (file := folder / archive.name).is_file():
        return file
    others = (file for ending in ("*.tar.gz", "*.tgz") for file in sorted(folder.glob(ending)))
    return next((file for file in others if file.is_file() and file.stat().st_size == archive.bytes), None)


def other_version(published: Published, data_dir: str | None) -> str:
    """ "PATH is the binary version of CIFAR-10", where the data directory holds a version that is not read, or ""."""
    if data_dir is None:
        return ""
    top = top_of(data_dir)
    known = published.other_names
    if version := known.get(top.name):
        return f"{top} is the {version} version of {published.title}"
    inside = (top / folder / name for folder in ("", published.folder) for name in known)
    found = next((path for path in inside if path.exists()), None)
    return f"{found} is of the {known[found.name]} version of {published.title}" if found else ""


@contextmanager
def opened(published: Published, place: Path) -> Iterator[Files]:
    """The files in a folder or an archive; UserError where an archive has other bytes than published."""
    if place.is_dir():
        yield Files(str(place), lambda name: (place / name).read_bytes())
        return
    check(published.archive, place, _advice_on_archive(published.archive, place))
    with tarfile.open(place) as tar:
        yield Files(f"{place}:{published.folder}", lambda name: _member(tar, f"{published.folder}/{name}"))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is no file"  # the archive is the published one: its digest was compared
    with file:
        return file.read()


def _check_sizes(published: Published, folder: Path) -> None:
    """UserError when files are missing from the folder, or are longer or shorter than published."""
    if missing := [file.name for file in published.files if not (folder / file.name).is_file()]:
        version = next(
            (f" (it holds the {v} version)" for name, v in published.other_names.items() if (folder / name).exists()),
            "",
        )
        raise UserError(f"{folder} lacks {', '.join(missing)}{version}. {advice(published)}")
    sizes = [(file, (folder / file.name).stat().st_size) for file in published.files]
    if wrong := [
        f"{file.name} has {size:,} bytes instead of {file.bytes:,}"
        for file, size in sizes
        if file.bytes not in (None, size)
    ]:
        raise UserError(f"{folder} does not hold the published files: {', '.join(wrong)}. {advice(published)}")


def check_whole(published: Published, place: Path, digests: bool = False) -> None:
    """UserError, naming the file, unless the folder or the archive is the published one.

    Of a folder's files the sizes are compared, and with `digests` the SHA-256 of each: 180 MB, in about a second.
    """
    if place.is_dir():
        _check_sizes(published, place)
    with opened(published, place) as files:
        for file in published.files if digests and place.is_dir() else ():
            read(published, file, files)


def read(published: Published, wanted: Pickle, files: Files) -> bytes:
    """The content of a file; UserError, naming it, where it cannot be read or is not what was published."""
    file = f"{files.place}/{wanted.name}"
    try:
        written = files.bytes(wanted.name)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. {advice(published)}") from error
    found = hashlib.sha256(written).hexdigest()
    if wanted.sha256 not in (None, found):
        raise UserError(
            f"{file} is not the published file: expected SHA-256 {wanted.sha256[:16]}… ({wanted.bytes:,} bytes), "
            f"found {found[:16]}… ({len(written):,} bytes). {advice(published)}"
        )
    return written


def advice(published: Published) -> str:
    """What to do about files that are not the published ones."""
    return (
        f"Unpack the whole of the published {published.archive.name} there, or put it there as it is, "
        "or leave --data-dir and STRIVE_DATA_DIR out, and it is downloaded."
    )


def _advice_on_archive(archive: Archive, place: Path) -> str:
    if place == cached(archive):
        return "Delete it and run again, and it is downloaded again."
    return (
        f"Download it again from {archive.mirrors[0]}, or leave --data-dir and STRIVE_DATA_DIR out, and it is "
        "downloaded into the cache."
    )
