"""Making shards: photographs decoded and resized once, into objects of so many images each.

Training images are dealt out to the shards by chance, the same everywhere, so that a few neighboring shards hold all
classes; test images keep their order. So what a shard holds follows from the data set alone. A shard
is put before its note, and one that is there is not made again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.data import imagenet, photograph
from pipeline.data.download import Show
from pipeline.data.imagenet import Labelled
from pipeline.data.npy import blank, kept, npy
from pipeline.errors import UserError
from pipeline.numerics.random_streams import generator_for
from pipeline.plan.datasets import Dataset
from pipeline.records.dataset import StoredObject
from pipeline.runtime.limits import cores
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import DatasetFolder

SHOWN = 100  # times that it is said how far it is
NAMED = 10  # damaged files that a refusal names


@dataclass(frozen=True)
class Shard:
    """A shard to be made."""

    name: str  # below the data set's folder
    path: str  # its object
    files: tuple[str, ...]
    side: int  # pixels

    @property
    def note(self) -> str:
        return note_of(self.path)


@dataclass(frozen=True)
class Made:
    """What became of a shard: its digest and length, or what is wrong with its files, a text each."""

    shard: StoredObject | None
    wrong: tuple[str, ...] = ()


Run = Callable[[Store, Sequence[Shard]], Iterator[tuple[Shard, Made]]]  # makes shards; they come in any order


def name(part: str, number: int) -> str:
    """A shard's object below the data set's folder."""
    return f"{part}/{number:05}.npy"


def note_of(path: str) -> str:
    """The object beside a shard that says it is there."""
    return path.removesuffix(".npy") + ".json"


def missing(store: Store, folder: DatasetFolder, dataset: Dataset) -> int:
    """The photographs in shards that are not there yet."""
    there = store.stamps(folder.top)
    counts = {"train": dataset.train, "test": dataset.test}
    return sum(
        min(dataset.shard, count - begin)
        for part, count in counts.items()
        for number, begin in enumerate(range(0, count, dataset.shard))
        if note_of(name(part, number)) not in there
    )


def one_by_one(store: Store, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Made]]:
    """Made in this process, by all its cores."""
    return ((shard, make_one(store, shard, cores())) for shard in shards)


def make(
    store: Store, folder: DatasetFolder, dataset: Dataset, data_dir: str | None, show: Show, run: Run = one_by_one
) -> dict[str, StoredObject]:
    """Put what is missing of the shards and labels; returns every object's digest, as a manifest has it.

    UserError, in one sentence with their names, where photographs cannot be decoded; all other shards are there then.
    """
    files = imagenet.listed(dataset, data_dir)
    files["train"] = _dealt(files["train"])
    labels = {f"{part}-labels.npy": _labels(store, folder, part, every) for part, every in files.items()}
    shards = [shard for part, every in files.items() for shard in _shards(folder, dataset, part, every)]
    there = store.stamps(folder.top)
    done = {shard.name: _noted(store, shard) for shard in shards if note_of(shard.name) in there}
    left = [shard for shard in shards if done.get(shard.name) is None]
    damaged: dict[str, tuple[str, ...]] = {}
    for count, (shard, made) in enumerate(run(store, left), len(shards) - len(left) + 1):
        done[shard.name], damaged[shard.name] = made.shard, made.wrong
        if count % max(1, len(shards) // SHOWN) == 0:
            show(f"{dataset.name}: shard {count} of {len(shards)}")
    if wrong := [text for shard in left for text in damaged[shard.name]]:
        raise UserError(_refusal(dataset, wrong))
    return labels | {name: made for name, made in done.items() if made}


def raw_sha256(objects: dict[str, StoredObject]) -> str:
    """One digest for all pixels and labels: that of the objects' digests, in the order of their names."""
    return sha256("".join(objects[name].sha256 for name in sorted(objects)).encode())


def make_one(store: Store, shard: Shard, threads: int) -> Made:
    """Make a shard unless it is there, and note that it is."""
    if (done := _noted(store, shard)) is not None:
        return Made(done)
    if store.exists(shard.path):  # whole, for an object is put as a whole; its maker was stopped before the note
        data = store.read_buffer(shard.path)
        made = StoredObject(sha256(data), len(data))
    else:
        data, images_NHWC = blank((len(shard.files), shard.side, shard.side, 3), np.uint8)
        wrong = []
        for at, (file, image) in enumerate(photograph.decoded([Path(f) for f in shard.files], shard.side, threads)):
            if isinstance(image, str):
                wrong.append(f"{file}: {image}")
            else:
                images_NHWC[at] = image
        if wrong:
            return Made(None, tuple(wrong))
        made = kept(store, shard.path, data)
    store.write_record(shard.note, made)
    return Made(made)


def _dealt(files: Labelled) -> Labelled:
    return [files[i] for i in torch.randperm(len(files), generator=generator_for(0, "shards")).tolist()]


def _labels(store: Store, folder: DatasetFolder, part: str, files: Labelled) -> StoredObject:
    return kept(store, folder.object(f"{part}-labels.npy"), npy(np.array([label for _, label in files], np.int16)))


def _shards(folder: DatasetFolder, dataset: Dataset, part: str, files: Labelled) -> Iterator[Shard]:
    for number, begin in enumerate(range(0, len(files), dataset.shard)):
        some = tuple(str(file) for file, _ in files[begin : begin + dataset.shard])
        yield Shard(name(part, number), folder.object(name(part, number)), some, dataset.side)


def _noted(store: Store, shard: Shard) -> StoredObject | None:
    return store.find_record(StoredObject, shard.note)


def _refusal(dataset: Dataset, wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return (
        f"{len(wrong)} images of {dataset.name} cannot be decoded: {'; '.join(wrong[:NAMED])}{more}. "
        "Replace them from the published data set and run again; what was done is not done again."
    )
