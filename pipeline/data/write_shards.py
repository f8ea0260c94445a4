"""Making shards: photographs decoded and resized once, into objects of so many images each.

Training images are dealt out to the shards by chance, the same everywhere, so that a few neighboring shards hold all
classes; test images keep their order. A shard is put before its note, and one with a note is not made again.
"""

from collections.abc import Sequence
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
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import DatasetFolder

SHOWN = 100  # times that it is said how far a part is
NAMED = 10  # damaged files that a refusal names


def name(part: str, number: int) -> str:
    """A shard's object below the data set's folder."""
    return f"{part}/{number:05}.npy"


def make(
    store: Store, folder: DatasetFolder, dataset: Dataset, data_dir: str | None, show: Show
) -> dict[str, StoredObject]:
    """Put what is missing of the shards and labels; returns every object's digest, as a manifest has it."""
    files = imagenet.listed(dataset, data_dir)
    files["train"] = _dealt(files["train"])
    objects, damaged = {}, []
    for part, all_of_it in files.items():
        labels = npy(np.array([label for _, label in all_of_it], np.int16))
        objects[f"{part}-labels.npy"] = kept(store, folder.object(f"{part}-labels.npy"), labels)
        starts = range(0, len(all_of_it), dataset.shard)
        for number, start in enumerate(starts):
            some = [file for file, _ in all_of_it[start : start + dataset.shard]]
            shard, wrong = _shard(store, folder.object(name(part, number)), some, dataset.side)
            if shard:
                objects[name(part, number)] = shard
            damaged += wrong
            if number % max(1, len(starts) // SHOWN) == 0:
                show(f"{dataset.name}: {part} shard {number + 1} of {len(starts)}")
    if damaged:
        more = f"\n  and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
        raise UserError(
            f"{len(damaged)} images of {dataset.name} cannot be decoded:\n  "
            + "\n  ".join(damaged[:NAMED])
            + f"{more}\nReplace them from the published data set and run again; what was done is not done again."
        )
    return objects


def raw_sha256(objects: dict[str, StoredObject]) -> str:
    """One digest for all pixels and labels: that of the objects' digests, in the order of their names."""
    return sha256("".join(objects[name].sha256 for name in sorted(objects)).encode())


def _dealt(files: Labelled) -> Labelled:
    return [files[i] for i in torch.randperm(len(files), generator=generator_for(0, "shards")).tolist()]


def _shard(store: Store, path: str, files: Sequence[Path], side: int) -> tuple[StoredObject | None, list[str]]:
    """The shard's digest and length, or what is wrong with its files."""
    note = path.replace(".npy", ".json")
    if (done := store.find_record(StoredObject, note)) is not None:
        return done, []
    data, images_NHWC = blank((len(files), side, side, 3), np.uint8)
    wrong = []
    for at, (file, image) in enumerate(photograph.decoded(files, side)):
        if isinstance(image, str):
            wrong.append(f"{file}: {image}")
        else:
            images_NHWC[at] = image
    if wrong:
        return None, wrong
    made = kept(store, path, data)
    store.write_record(note, made)
    return made, []
