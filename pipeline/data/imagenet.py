"""Folders of photographs, FOLDER/{train,val}/CLASS/FILE as ImageNet is kept: which files and classes there are.

Hidden files and folders, those that operating systems leave behind, and files of other kinds are left out; where the
numbers do not come out right, they are named.
"""

import os
from pathlib import Path

from pipeline.errors import UserError
from pipeline.plan.datasets import Dataset
from pipeline.whole_path import whole_path

PARTS = {"train": "train", "test": "val"}  # ours: theirs
ENDINGS = {".jpeg", ".jpg", ".png"}
FOREIGN = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
SORTING = (
    "ImageNet's validation images come in one folder and must be sorted into one folder a class: valprep.sh of "
    "https://github.com/soumith/imagenetloader.torch does that when it is run in that folder, and "
    "torchvision.datasets.ImageNet(FOLDER, 'val') does it from ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz"
)
NAMED = 5  # folders or files that a message names

Labelled = list[tuple[Path, int]]


def find(dataset: Dataset, data_dir: str | None) -> Path | None:
    """The folder that holds the data set's train/ and val/; None where there is none.

    UserError where the images in one of them are not sorted into folders of classes.
    """
    if data_dir is None:
        return None
    top = whole_path(data_dir)
    places = (top / dataset.name, top, top / "ILSVRC" / "Data" / "CLS-LOC")  # the last as Kaggle's archive unpacks
    found = next((at for at in places if all((at / part).is_dir() for part in PARTS.values())), None)
    if found is not None:
        for part in PARTS.values():
            _check_sorted(found / part)
    return found


def advice(dataset: Dataset) -> str:
    """What to do where it is not there."""
    return (
        f"get it from its publisher and name the folder that holds {dataset.name}/train/CLASS/FILE and "
        f"{dataset.name}/val/CLASS/FILE with --data-dir or STRIVE_DATA_DIR"
    )


def listed(dataset: Dataset, data_dir: str | None) -> dict[str, Labelled]:
    """The files of both parts with their classes: sorted, classes numbered in the order of their folders' names.

    A class is a folder below train/ that holds images. UserError where there are not as many images and classes as
    the data set has.
    """
    top = find(dataset, data_dir)
    if top is None:
        looked = f" ({data_dir} holds no such folders)" if data_dir else ""
        raise UserError(f"{dataset.name} cannot be downloaded: {advice(dataset)}{looked}")
    found = classes_in(top)
    names = [name for name, files in found["train"].items() if files]
    out = {}
    for part, count in (("train", dataset.train), ("test", dataset.test)):
        files = [(file, label) for label, name in enumerate(names) for file in found[part].get(name, ())]
        if len(names) != dataset.classes or len(files) != count:
            raise UserError(
                f"{top / PARTS[part]} is not {dataset.name}: expected {count:,} images of {dataset.classes:,} classes, "
                f"found {len(files):,} of {len(names):,}{_details(top, found)}. "
                "Unpack the whole data set there, and nothing else."
            )
        out[part] = files
    return out


def classes_in(top: Path) -> dict[str, dict[str, list[Path]]]:
    """By part, train and test, the files of every class, also of those without any."""
    return {part: {name: _images(folder) for name, folder in _folders(top / PARTS[part]).items()} for part in PARTS}


def _details(top: Path, found: dict[str, dict[str, list[Path]]]) -> str:
    """What may be why the numbers do not come out right, to be added to a sentence."""
    train, val = ({name for name, files in found[part].items() if files} for part in PARTS)
    empty = [f"{PARTS[part]}/{name}" for part in PARTS for name, files in found[part].items() if not files]
    others = [path for part in PARTS for path in _others(top / PARTS[part], found[part])]
    facts = {
        "without images": empty,
        "in train/ alone": sorted(train - val),
        "in val/ alone": sorted(val - train),
        "left out": [str(path.relative_to(top)) for path in others],
    }
    return "".join(f"; {fact}: {_some(names)}" for fact, names in facts.items() if names)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _is_foreign(name: str) -> bool:
    return name.startswith(".") or name in FOREIGN


def _entries(folder: Path) -> list[os.DirEntry]:
    """What lies in a folder, by name; UserError where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"cannot look into the folder {folder}: {error.strerror}") from error


def _folders(folder: Path) -> dict[str, Path]:
    """The folders of classes in a folder, by name, sorted."""
    return {e.name: Path(e.path) for e in _entries(folder) if e.is_dir() and not _is_foreign(e.name)}


def _is_image(entry: os.DirEntry) -> bool:
    return Path(entry.name).suffix.lower() in ENDINGS and not _is_foreign(entry.name) and entry.is_file()


def _images(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if _is_image(entry)]


def _others(folder: Path, classes: dict[str, list[Path]]) -> list[Path]:
    """What was left out of a part's folder and of those of its classes."""
    left = [Path(entry.path) for entry in _entries(folder) if entry.name not in classes]
    for name in classes:
        left += [Path(entry.path) for entry in _entries(folder / name) if not _is_image(entry)]
    return left


def _check_sorted(folder: Path) -> None:
    """UserError where a part's folder holds images or archives of classes, and no folders of classes."""
    entries = _entries(folder)
    if any(entry.is_dir() and not _is_foreign(entry.name) for entry in entries):
        return
    if any(_is_image(entry) for entry in entries):
        raise UserError(f"the images in {folder} lie in no folders of classes (CLASS/FILE). {SORTING}.")
    if archive := next((entry for entry in entries if entry.name.endswith((".tar", ".tar.gz", ".zip"))), None):
        raise UserError(f"{folder} holds archives such as {archive.name}: unpack each into a folder of its name there")
