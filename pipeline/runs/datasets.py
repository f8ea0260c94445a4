"""Prepared data sets in the store: written once, manifest last, every object with its SHA-256."""

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import torch
from safetensors.torch import save

from pipeline.numerics.batches import Feed, Images
from pipeline.numerics.preprocess import Whitening, fit_to, last_step, whitened
from pipeline.paper.recipes import Preprocess, Recipe, Whiten
from pipeline.paper.refused import Refused
from pipeline.plan.datasets import Dataset
from pipeline.runs.sources import Raw, raw
from pipeline.runs.store import DatasetFolder, Store, sha256


@dataclass(frozen=True)
class Prepared:
    """A data set as training wants it, and the test pixels as people want to see them."""

    train: Images
    test: Images
    test_pixels: torch.Tensor  # unsigned bytes (N, C, H, W)
    manifest_sha256: str

    def feeds(self, recipe: Recipe, device: str = "cpu") -> tuple[Feed, Feed]:
        """The training and the test images as the recipe wants them, on the device."""
        finish = last_step(recipe, None)
        return Feed(self.train.to(device), recipe, finish), Feed(self.test.to(device), recipe, finish)


def make(store: Store, dataset: Dataset, how: Preprocess) -> str:
    """Prepare the data set unless it is there; returns its folder.

    No object is ever replaced: of two machines at it at once, the first of each object stays, and the manifest
    describes what is there. Between machines they differ by rounding alone.
    """
    folder = DatasetFolder(dataset, how)
    if store.exists(folder.manifest):
        return folder.top
    objects = {}
    for name, data in _objects(raw(dataset), how).items():
        if not store.create(folder.object(name), data):
            data = store.read(folder.object(name))
        objects[name] = {"sha256": sha256(data), "bytes": len(data)}
    manifest = {"dataset": asdict(dataset), "preprocess": asdict(how), "objects": objects}
    store.create_json(folder.manifest, manifest)
    return folder.top


def _objects(data: Raw, how: Preprocess) -> dict[str, bytes]:
    if not isinstance(how, Whiten):
        raise NotImplementedError("pixels alone are not prepared yet")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums of the same order, whatever the machine
    train, test = torch.from_numpy(data.train_images), torch.from_numpy(data.test_images)
    whitening = fit_to(train, how)
    train, test = whitened(train, whitening, how), whitened(test, whitening, how)
    torch.set_num_threads(threads)
    return {
        "train-images.npy": _npy(train.numpy()),
        "train-labels.npy": _npy(data.train_labels),
        "test-images.npy": _npy(test.numpy()),
        "test-labels.npy": _npy(data.test_labels),
        "test-pixels.npy": _npy(data.test_images),
        "whitening.safetensors": _whitening(whitening),
    }


@lru_cache(maxsize=2)  # a worker trains run after run on the same data
def load(store: Store, dataset: Dataset, how: Preprocess) -> Prepared:
    """The prepared data set, every object held against its digest."""
    folder = DatasetFolder(dataset, how)
    text = store.find(folder.manifest)
    if text is None:
        raise Refused(f"{dataset.name} is not prepared in {store.url}: run `strive reproduce` or the flow `prepare`")
    manifest = json.loads(text)
    read = _reader(store, folder, manifest["objects"])
    return Prepared(
        Images(torch.from_numpy(read("train-images.npy")), torch.from_numpy(read("train-labels.npy")).long()),
        Images(torch.from_numpy(read("test-images.npy")), torch.from_numpy(read("test-labels.npy")).long()),
        torch.from_numpy(read("test-pixels.npy")),
        sha256(text),
    )


def _reader(store: Store, folder: DatasetFolder, objects: dict) -> Callable[[str], np.ndarray]:
    def read(name: str) -> np.ndarray:
        data = store.read(folder.object(name))
        if sha256(data) != objects[name]["sha256"]:
            raise Refused(
                f"{store.where(folder.object(name))} is damaged: its SHA-256 is not the manifest's. "
                f"Delete {store.where(folder.top)} and run again."
            )
        return np.load(io.BytesIO(data), allow_pickle=False)

    return read


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()


def _whitening(whitening: Whitening) -> bytes:
    return save({"mean": whitening.mean_D.contiguous(), "matrix": whitening.matrix_DD.contiguous()})
