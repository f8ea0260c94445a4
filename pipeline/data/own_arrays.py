"""Images and labels of your own from a .npz file or from pickles as CIFAR's, as arrays that strive trains on."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.data.raw_images import Raw
from pipeline.data.unpickling import Untrusted, unpickle
from pipeline.errors import UserError

ARRAYS = {  # names of arrays in a .npz file: ours, and Keras's
    "train images": ("train_images", "x_train"),
    "train labels": ("train_labels", "y_train"),
    "test images": ("test_images", "x_test"),
    "test labels": ("test_labels", "y_test"),
}


def _npz(path: str) -> tuple[Raw, list[str]]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:  # numpy leaves bad ones open
            there = {what: next((key for key in keys if key in arrays), None) for what, keys in ARRAYS.items()}
            if missing := [what for what, key in there.items() if key is None]:
                wanted = " and ".join(f"{' or '.join(ARRAYS[what])}" for what in missing)
                raise UserError(f"{path} has no array {wanted}: it has {', '.join(arrays.files) or 'none'}")
            found = [arrays[str(there[what])] for what in ARRAYS]
    except UserError:
        raise
    except Exception as error:  # damaged files raise what the readers of zip and of arrays happen to raise
        said = "it is no .npz file, or holds Python objects" if "pickle" in str(error) else str(error)
        raise UserError(f"{path} is no .npz file of plain arrays: {said}; numpy.savez writes one") from error
    return _checked(path, *found)


def _cifar(path: str) -> tuple[Raw, list[str]]:
    """Pickles as CIFAR's: data_batch_1 and on with test_batch, or train with test; `data` (N, 3 x side x side)."""
    top = Path(path)
    train = sorted(top.glob("data_batch_*"), key=lambda file: (len(file.name), file.name)) or [top / "train"]
    test = top / ("test_batch" if train[0].name.startswith("data_batch_") else "test")
    parts = [[_pickled(file) for file in files] for files in (train, [test])]
    for files, part in ((train, parts[0]), ([test], parts[1])):
        for file, (images, _) in zip(files, part, strict=True):
            if images.shape[1:] != part[0][0].shape[1:] or images.dtype != part[0][0].dtype:
                raise UserError(f"{file} has images of another kind than {files[0]}")
    arrays = [np.concatenate([pair[at] for pair in part]) for part in parts for at in (0, 1)]
    return _checked(path, *arrays)


def _pickled(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        content = unpickle(file.read_bytes())
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror}; CIFAR-style data are pickles named as CIFAR's"
        ) from error
    except Untrusted as error:
        raise UserError(f"{file} holds more than arrays and lists: {error}") from error
    content = content if isinstance(content, dict) else {}
    data = content.get("data")
    labels = next((content[key] for key in ("labels", "fine_labels") if key in content), None)
    side = math.isqrt(data.shape[1] // 3) if isinstance(data, np.ndarray) and data.ndim == 2 else 0
    if not isinstance(data, np.ndarray) or not side or data.shape[1] != 3 * side**2 or labels is None:
        raise UserError(f"{file} has no 'data' of rows of 3 x side x side bytes with 'labels' beside them")
    listed = labels if isinstance(labels, list | np.ndarray) else [None]
    if not all(isinstance(label, int | np.integer) and 0 <= label < 2**31 for label in listed):
        raise UserError(f"{file} has 'labels' that are no list of whole numbers")
    return data.reshape(-1, 3, side, side), np.array(listed, np.int64)


def _checked(
    path: str, train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> tuple[Raw, list[str]]:
    """The arrays as strive has them, and what was done to them; UserError where they are of another kind."""
    remarks: list[str] = []
    images = [_images(path, part, array, remarks) for part, array in (("training", train), ("test", test))]
    if images[0].shape[1:] != images[1].shape[1:]:
        raise UserError(f"{path}: training and test images differ in size, {train.shape} and {test.shape}")
    labels = [np.asarray(array).reshape(-1) for array in (train_labels, test_labels)]
    for part, some, which in zip(("training", "test"), images, labels, strict=True):
        if not np.issubdtype(which.dtype, np.integer) or len(which) != len(some) or not len(some):
            raise UserError(f"{path}: {len(some)} {part} images want as many whole numbers as labels, at least one")
    known = np.unique(labels[0])
    if known[0] != 0 or known[-1] != len(known) - 1 or len(known) < 2:
        raise UserError(f"{path}: training labels must be 0, 1 and on without a gap, not {_short(known)}")
    if not np.isin(labels[1], known).all():
        raise UserError(f"{path}: test labels {_short(np.setdiff1d(labels[1], known))} are in no training image")
    return Raw(images[0], small(labels[0]), images[1], small(labels[1])), list(dict.fromkeys(remarks))


def _images(path: str, part: str, array: np.ndarray, remarks: list[str]) -> np.ndarray:
    """(N, 3, side, side) unsigned bytes."""
    if array.dtype != np.uint8:
        raise UserError(f"{path}: {part} images must be unsigned bytes from 0 to 255 (uint8), not {array.dtype}")
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise UserError(
            f"{path}: {part} images must be (N, side, side), (N, side, side, 3) or (N, 3, side, side), "
            f"not {array.shape}"
        )
    if array.shape[2] != array.shape[3] or not array.shape[2]:
        raise UserError(f"{path}: {part} images must be square, not {array.shape[2]} x {array.shape[3]} pixels")
    if array.shape[1] == 1:
        remarks.append("gray images, repeated to three channels")
        array = array.repeat(3, axis=1)
    return np.ascontiguousarray(array)


def small(labels: np.ndarray) -> np.ndarray:
    return labels.astype(np.uint8 if labels.max() < 256 else np.int16)


def _short(values: np.ndarray) -> str:
    more = ", ..." if len(values) > 8 else ""
    return ", ".join(str(value) for value in values[:8]) + more


READERS: dict[str, Callable[[str], tuple[Raw, list[str]]]] = {"npz": _npz, "cifar": _cifar}
