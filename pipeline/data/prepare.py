"""Prepared data sets in the store: written once, manifest last, every object with its SHA-256.

Images lie as (N, H, W, C), the order in which convolutions read them. A data set whose plan names a length of shards
lies in shards (write_shards.py).
"""

import json
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache

import numpy as np
import torch
from safetensors.torch import load as tensors_in
from safetensors.torch import save
from torch import Tensor

from pipeline.data import write_shards
from pipeline.data.download import Show
from pipeline.data.npy import array_of, blank, kept, npy, reader
from pipeline.data.raw_images import Raw
from pipeline.data.read_shards import Shards
from pipeline.data.sources import folder_of, raw, silent
from pipeline.errors import UserError
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.preprocessing import CHUNK, Whitening, augments_pixels, fit_to, last_step, whiten
from pipeline.paper.recipes import Preprocess, Recipe, Scale, Whiten
from pipeline.plan.datasets import Dataset
from pipeline.plan.plain_form import untagged
from pipeline.plan.usual import LARGEST_WHITENED
from pipeline.records.dataset import DatasetManifest, StoredObject
from pipeline.records.record import DamagedRecord
from pipeline.store import probe
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import DatasetFolder


class Prepared:
    """A prepared data set. Every object is read, and held against its digest, when it is first wanted."""

    def __init__(self, store: Store, folder: DatasetFolder, manifest: DatasetManifest, manifest_sha256: str):
        self.manifest_sha256 = manifest_sha256
        self.whitening_sha256: str | None = manifest.whitening_sha256
        self._shard: int = manifest.dataset.get("shard", 0)
        self._read = reader(store, folder.top, manifest.objects)

    def feeds(self, recipe: Recipe, device: str = "cpu") -> tuple[Loader, Loader]:
        """The training and the test images as the recipe wants them, on the device."""
        return self.feed("train", recipe, device), self.feed("test", recipe, device)

    def feed(self, part: str, recipe: Recipe, device: str = "cpu") -> Loader:
        """The images of one part, train or test."""
        images = self.pixels(part) if augments_pixels(recipe) else self.train if part == "train" else self.test
        return Loader(images.to(device), recipe, self._finish(recipe, device))

    def pixels(self, part: str) -> Images | Shards:
        """The images of one part as people want to see them."""
        return self.train_pixels if part == "train" else self.test_pixels

    def _finish(self, recipe: Recipe, device: str) -> Callable[[Tensor], Tensor]:
        """What is left of preprocessing once images were varied."""
        late = augments_pixels(recipe) and isinstance(recipe.preprocess, Whiten)
        return last_step(recipe, self.whitening.to(device) if late else None)

    @cached_property
    def train(self) -> Images | Shards:
        """The training images after what preprocessing could be done beforehand: whitened, or raw pixels."""
        return self.train_pixels if self.whitening_sha256 is None else self._images("train", "train-images.npy")

    @cached_property
    def test(self) -> Images | Shards:
        """The test images, likewise."""
        return self.test_pixels if self.whitening_sha256 is None else self._images("test", "test-images.npy")

    @cached_property
    def train_pixels(self) -> Images | Shards:
        """The training images as people want to see them, unsigned bytes."""
        return self._shards("train") if self._shard else self._images("train", "train-pixels.npy")

    @cached_property
    def test_pixels(self) -> Images | Shards:
        """The test images, likewise."""
        return self._shards("test") if self._shard else self._images("test", "test-pixels.npy")

    @cached_property
    def whitening(self) -> Whitening:
        """What was fitted on the training images; refused where nothing was."""
        if self.whitening_sha256 is None:
            raise UserError("this data set was prepared as pixels: there is no whitening of it")
        tensors = tensors_in(bytes(self._read("whitening.safetensors")))
        return Whitening(tensors["mean"], tensors["matrix"])

    def _images(self, part: str, name: str) -> Images:
        return Images(_nchw(array_of(self._read(name))), self._labels(part))

    def _shards(self, part: str) -> Shards:
        def read(number: int) -> Tensor:
            return _nchw(array_of(self._read(write_shards.name(part, number))))

        return Shards(read, self._labels(part), self._shard)

    def _labels(self, part: str) -> Tensor:
        return torch.from_numpy(array_of(self._read(f"{part}-labels.npy"))).long()


@lru_cache(maxsize=2)  # a worker trains run after run on the same data
def load(store: Store, dataset: Dataset, how: Preprocess) -> Prepared:
    """The prepared data set; refused where it is not in the store."""
    folder = DatasetFolder(dataset, how)
    text = store.find(folder.manifest)
    if text is None:
        raise UserError(f"{dataset.name} is not prepared in {store.url}: run `strive reproduce` or the flow `prepare`")
    address = store.url_of(folder.manifest)
    manifest = DatasetManifest.from_json(text, address)
    if json.loads(json.dumps(untagged(dataset))) != manifest.dataset:
        raise DamagedRecord(f"{address} is of another data set than {dataset.name}. {DatasetManifest.REMEDY}")
    return Prepared(store, folder, manifest, sha256(text))


def make(
    store: Store,
    dataset: Dataset,
    how: Preprocess,
    data_dir: str | None = None,
    show: Show = silent,
    run: write_shards.Run = write_shards.one_by_one,
) -> str:
    """Prepare the data set unless it is there; returns its folder. `run` makes the shards of one that has shards.

    No object is ever replaced: of two machines at it at once, the first of each object stays, and the manifest
    describes what is there. Between machines they differ by rounding alone. DamagedRecord where the manifest is one.
    """
    folder = DatasetFolder(dataset, how)
    if store.find_record(DatasetManifest, folder.manifest) is not None:
        return folder.top
    if dataset.shard and isinstance(how, Whiten):
        raise UserError(f"{dataset.name} does not fit into memory, and only what does is whitened: use Scale")
    if isinstance(how, Whiten) and dataset.side > LARGEST_WHITENED:
        gigabytes = (3 * dataset.side**2) ** 2 * 8 / 1e9
        raise UserError(
            f"to whiten images of {dataset.side} px takes a matrix of {gigabytes:,.0f} GB: images of at most "
            f"{LARGEST_WHITENED} px are whitened, use Scale (--preprocess scale)"
        )
    probe.try_out(store)  # before minutes of work that it would not keep
    if dataset.shard:
        objects = write_shards.make(store, folder, dataset, folder_of(dataset, data_dir), show, run)
        _write_manifest(store, dataset, how, objects, write_shards.raw_sha256(objects))
        return folder.top
    data = raw(dataset, data_dir, show)
    objects = {}
    for name, content in _objects(data, how, show):
        objects[name] = kept(store, folder.object(name), content)
    _write_manifest(store, dataset, how, objects, data.sha256)
    return folder.top


def _write_manifest(
    store: Store, dataset: Dataset, how: Preprocess, objects: dict[str, StoredObject], raw_sha256: str
) -> None:
    """The last object of a data set; another process's manifest stays."""
    whitening = objects.get("whitening.safetensors")
    manifest = DatasetManifest(
        objects=objects,
        dataset=untagged(dataset),
        preprocess=untagged(how),
        raw_sha256=raw_sha256,
        whitening_sha256=whitening.sha256 if whitening else None,
    )
    store.create_record(DatasetFolder(dataset, how).manifest, manifest)


def _objects(data: Raw, how: Preprocess, show: Show) -> Iterator[tuple[str, bytes | bytearray]]:
    yield "train-labels.npy", npy(data.train_labels)
    yield "test-labels.npy", npy(data.test_labels)
    yield "train-pixels.npy", npy(data.train_images.transpose(0, 2, 3, 1))
    yield "test-pixels.npy", npy(data.test_images.transpose(0, 2, 3, 1))
    if isinstance(how, Scale):
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums of the same order, whatever the machine
    try:
        train, test = torch.from_numpy(data.train_images), torch.from_numpy(data.test_images)
        show(f"fitting the whitening on {len(train):,} images")
        whitening = fit_to(train, how)
        show("whitening")
        yield "whitening.safetensors", _bytes(whitening)
        yield "test-images.npy", _whitened(test, whitening, how)
        yield "train-images.npy", _whitened(train, whitening, how)
    finally:
        torch.set_num_threads(threads)


def _whitened(pixels_NCHW: Tensor, whitening: Whitening, how: Whiten) -> bytearray:
    n, c, h, w = pixels_NCHW.shape
    data, out_NHWC = blank((n, h, w, c), np.float32)
    for at in range(0, n, CHUNK):
        white_NCHW = whiten(pixels_NCHW[at : at + CHUNK], whitening, how)
        out_NHWC[at : at + CHUNK] = white_NCHW.permute(0, 2, 3, 1).numpy()
    return data


def _nchw(array_NHWC: np.ndarray) -> Tensor:
    return torch.from_numpy(array_NHWC).permute(0, 3, 1, 2)


def _bytes(whitening: Whitening) -> bytes:
    return save({"mean": whitening.mean_D.contiguous(), "matrix": whitening.matrix_DD.contiguous()})
