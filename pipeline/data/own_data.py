"""Data sets of your own: a folder of photographs, arrays in a .npz file, or pickles as CIFAR's; pinned at first use.

A pin, in the cache, holds the digest of what was found there and what it was found to be. Files that have changed since
are refused: a data set is its bytes, and its digest is part of the id of every run.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import imagenet, photograph
from pipeline.data.download import Show, digest
from pipeline.data.own_arrays import READERS, small
from pipeline.data.raw_images import Raw
from pipeline.errors import UserError, unknown_name
from pipeline.plan import plain_form
from pipeline.plan.datasets import DATASETS, Dataset
from pipeline.plan.datasets import OWN_KINDS as KINDS
from pipeline.plan.own_study import checked_name
from pipeline.runtime.settings import cache
from pipeline.whole_path import insist_on_file_or_folder, whole_path

SIDE = 32  # pixels that photographs are resized to, unless another side is named
IN_MEMORY = 4_000_000_000  # bytes of pixels; more of them are kept in shards
SHARD = 256  # images


@dataclass(frozen=True)
class Place:
    """Where a data set of your own lies, and how it is read."""

    kind: str  # one of KINDS
    path: str  # whole
    side: int | None = None  # photographs alone

    @property
    def pin(self) -> Path:
        key = hashlib.sha256(json.dumps([self.kind, self.path, self.side]).encode()).hexdigest()[:16]
        return cache() / "own" / f"{key}.json"


def own_dataset(text: str, side: int | None = None, name: str | None = None) -> Dataset:
    """The data set at `imagefolder:DIR`, `npz:FILE` or `cifar:DIR`; photographs are resized to `side` pixels.

    UserError where it is not there, cannot be read as such, or is no longer what it was at first use.
    """
    kind, _, path = text.partition(":")
    if kind not in KINDS:
        raise unknown_name("kind of data", kind, KINDS)
    if not path:
        raise UserError(f"name where the data lie: {kind}:PATH")
    if side is not None and kind != "imagefolder":
        raise UserError(f"images of {kind}: keep their size: leave the side out")
    place = Place(kind, os.path.realpath(whole_path(path)), (side or SIDE) if kind == "imagefolder" else None)
    if place.side is not None and not 8 <= place.side <= 512:
        raise UserError(f"photographs are resized to 8 to 512 pixels, not {place.side}")
    if not Path(place.path).exists():
        raise UserError(f"there is nothing at {place.path}: name the data as {kind}:PATH")
    insist_on_file_or_folder(place.path)
    if name in DATASETS:
        raise UserError(f"{name} is the name of a data set of strive's own: choose another")
    return replace(_pinned(place), name=checked_name("the data set's name", name) if name else _name(place))


def place_of(dataset: Dataset) -> Place | None:
    """Where a data set lies that was pinned on this machine; None where none such was."""
    for file in sorted((cache() / "own").glob("*.json")):
        if (pin := _pin(file)) is None:
            continue
        if replace(_read_dataset(pin), name=dataset.name) == dataset:
            return Place(pin["kind"], pin["path"], pin["side"])
    return None


def read(dataset: Dataset, place: Place, show: Show) -> Raw:
    """The images and labels; UserError where they are not those that were pinned."""
    verify(dataset, place)
    if place.kind == "imagefolder":
        show(f"{dataset.name}: photographs are resized, the short side to {dataset.side} px, and cut to their middle")
        return _photographs(dataset, place)
    found, remarks = READERS[place.kind](place.path)
    for remark in remarks:
        show(f"{dataset.name}: {remark}")
    if found.sha256 != dataset.sha256:
        raise UserError(f"{place.path} was changed, and kept its size and time: it is not {dataset.name} any more")
    return found


def verify(dataset: Dataset, place: Place) -> None:
    """UserError unless what lies there is what was pinned."""
    if replace(_pinned(place), name=dataset.name) != dataset:
        raise UserError(f"{place.path} does not hold the {dataset.name} that this run is about")


def _pinned(place: Place) -> Dataset:
    """What was found at first use; read again only where a file's size or time has changed."""
    stamp = _stamp(place)
    pin = _pin(place.pin)
    if pin and pin["stamp"] == stamp:
        return _read_dataset(pin)
    found = _found(place)
    if pin and _read_dataset(pin) != found:
        raise UserError(
            f"{place.path} is no longer what it was at first use: SHA-256 {str(_read_dataset(pin).sha256)[:16]}…, now "
            f"{str(found.sha256)[:16]}…. Put the old files back; or delete {place.pin}, and runs on the new files get "
            "ids of their own"
        )
    about = {"kind": place.kind, "path": place.path, "side": place.side, "stamp": stamp}
    try:
        place.pin.parent.mkdir(parents=True, exist_ok=True)
        part = place.pin.with_name(f"{place.pin.name}.{os.getpid()}.part")  # others read all pins, at any time
        part.write_text(json.dumps(about | {"dataset": plain_form.untagged(found)}, indent=1))
        os.replace(part, place.pin)
    except OSError as error:
        raise UserError(f"cannot write {place.pin}: {error.strerror}. Set XDG_CACHE_HOME.") from error
    return found


def _pin(file: Path) -> dict[str, Any] | None:
    """What a pin says; None where there is none. UserError where it is damaged."""
    if not file.exists():
        return None
    try:
        pin = json.loads(file.read_text(encoding="utf-8"))
        _read_dataset(pin)
        return {name: pin[name] for name in ("kind", "path", "side", "stamp", "dataset")}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}, which pins data of your own, is damaged: delete it and run again") from error


def _read_dataset(pin: dict[str, Any]) -> Dataset:
    plain = pin["dataset"]
    return Dataset(**plain | {"labels": tuple(plain.get("labels", ()))})


def _stamp(place: Place) -> str:
    """A digest of the names, sizes and times of all files."""
    top = Path(place.path)
    files = sorted(file for file in top.rglob("*") if file.is_file()) if top.is_dir() else [top]
    facts = [(str(file.relative_to(top.parent)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _name(place: Place) -> str:
    """The folder's or the file's name as ids have it."""
    name = re.sub(r"[^a-z0-9]+", "-", Path(place.path).stem.lower()).strip("-")[:40].strip("-") or "data"
    return f"own-{name}" if name in DATASETS else name


def _found(place: Place) -> Dataset:
    if place.kind == "imagefolder":
        return _folder(place)
    found, _ = READERS[place.kind](place.path)
    classes = int(found.train_labels.max()) + 1
    side = found.train_images.shape[2]
    train, test = len(found.train_images), len(found.test_images)
    return Dataset(_name(place), side, classes, train, test, found.sha256)


def _folder(place: Place) -> Dataset:
    """A folder of photographs: its classes are the folders below train/, its digest that of the files."""
    assert place.side is not None
    top = Path(place.path)
    if missing := [part for part in imagenet.PARTS.values() if not (top / part).is_dir()]:
        raise UserError(
            f"{top} has no folder {missing[0]}/: photographs lie as train/CLASS/FILE and val/CLASS/FILE there "
            "(docs/own-data.md shows the lines of Python that split a folder of classes)"
        )
    found = imagenet.classes_in(top)
    names = sorted(name for name, files in found["train"].items() if files)
    foreign = sorted(name for name, files in found["test"].items() if files and name not in names)
    if foreign:
        raise UserError(f"{top / 'val'} has the class {foreign[0]}, of which {top / 'train'} has no images")
    counts = {part: sum(len(found[part].get(name, ())) for name in names) for part in found}
    if len(names) < 2 or not counts["test"]:
        raise UserError(
            f"{top} has {len(names)} classes with {counts['train']} images in train/ and {counts['test']} in val/: at "
            "least two classes and one image in val/ are needed (.jpg, .jpeg and .png)"
        )
    lines = [
        f"{part}/{name}/{file.name} {digest(file)}"
        for part in found
        for name in names
        for file in found[part].get(name, ())
    ]
    sha256 = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    many = (counts["train"] + counts["test"]) * 3 * place.side**2 > IN_MEMORY
    shard = SHARD if many else 0
    train, test = counts["train"], counts["test"]
    return Dataset(_name(place), place.side, len(names), train, test, sha256, shard, tuple(names))


def _photographs(dataset: Dataset, place: Place) -> Raw:
    arrays, damaged = [], []
    for files in imagenet.listed(dataset, place.path).values():
        images = np.empty((len(files), 3, dataset.side, dataset.side), np.uint8)
        for at, (file, image) in enumerate(photograph.decoded([file for file, _ in files], dataset.side)):
            if isinstance(image, str):
                damaged.append(f"{file}: {image}")
            else:
                images[at] = image.transpose(2, 0, 1)
        arrays += [images, small(np.array([label for _, label in files]))]
    if damaged:
        shown = "; ".join(damaged[: imagenet.NAMED])
        raise UserError(f"{len(damaged)} images of {dataset.name} cannot be decoded: {shown}. Replace or remove them.")
    return Raw(*arrays)


def lines(dataset: Dataset) -> Iterator[str]:
    """What a data set of your own was found to be, for people."""
    yield (
        f"{dataset.name}: {dataset.train:,} training and {dataset.test:,} test images of {dataset.side} px, "
        f"{dataset.classes} classes, SHA-256 {str(dataset.sha256)[:16]}…"
    )
