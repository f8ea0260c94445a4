"""Folders of photographs, FOLDER/{train,val}/CLASS/FILE as ImageNet is kept, to square images of one size.

Resized as Krizhevsky et al. (2012) say: the short side to the wanted one, then the middle of the long side; here by
Pillow's bilinear filter, which averages over all pixels that it shrinks.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.plan.datasets import Dataset
from pipeline.runtime.settings import cores

PARTS = {"train": "train", "test": "val"}  # ours: theirs
ENDINGS = {".jpeg", ".jpg", ".png"}

Labelled = list[tuple[Path, int]]


def find(dataset: Dataset, data_dir: str | None) -> Path | None:
    """The folder that holds the data set's train/ and val/; None where there is none."""
    if data_dir is None:
        return None
    top = Path(data_dir).expanduser()
    return next((at for at in (top / dataset.name, top) if all((at / p).is_dir() for p in PARTS.values())), None)


def mend(dataset: Dataset) -> str:
    """What to do where it is not there."""
    return (
        f"get it from its publisher and name the folder that holds {dataset.name}/train/CLASS/FILE and "
        f"{dataset.name}/val/CLASS/FILE with --data-dir or STRIVE_DATA_DIR"
    )


def listed(dataset: Dataset, data_dir: str | None) -> dict[str, Labelled]:
    """The files of both parts with their classes: sorted, classes numbered in the order of their folders' names."""
    top = find(dataset, data_dir)
    if top is None:
        looked = f" ({data_dir} holds no such folders)" if data_dir else ""
        raise UserError(f"{dataset.name} cannot be downloaded: {mend(dataset)}{looked}")
    names = sorted(folder.name for folder in (top / PARTS["train"]).iterdir() if folder.is_dir())
    out = {}
    for part, count in (("train", dataset.train), ("test", dataset.test)):
        folder = top / PARTS[part]
        files = [(file, label) for label, name in enumerate(names) for file in _images(folder / name)]
        if len(names) != dataset.classes or len(files) != count:
            raise UserError(
                f"{folder} is not {dataset.name}: expected {count:,} images of {dataset.classes:,} classes, "
                f"found {len(files):,} of {len(names):,}. Unpack the whole data set there."
            )
        out[part] = files
    return out


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS)


def square(file: Path, side: int) -> np.ndarray:
    """A photograph as (side, side, 3) unsigned bytes."""
    from PIL import Image  # who reads shards does not need it

    with Image.open(file) as photograph:
        rgb = photograph.convert("RGB")
    wide, high = rgb.size
    scale = side / min(wide, high)
    wide, high = max(side, round(wide * scale)), max(side, round(high * scale))
    left, top = (wide - side) // 2, (high - side) // 2
    small = rgb.resize((wide, high), Image.Resampling.BILINEAR)
    return np.asarray(small.crop((left, top, left + side, top + side)))


def decoded(files: Sequence[Path], side: int) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Each file with its image, or with what is wrong with it; decoded by as many threads as there are cores."""

    from PIL.Image import DecompressionBombError

    def attempt(file: Path) -> np.ndarray | str:
        try:
            return square(file, side)
        except (OSError, SyntaxError, ValueError, DecompressionBombError) as error:  # Pillow's over damaged files
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(cores()) as pool:
        yield from zip(files, pool.map(attempt, files), strict=True)
