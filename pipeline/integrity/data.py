"""Faults of prepared data sets."""

import json
from collections.abc import Iterator

from pipeline.integrity.fault import Fault, reason
from pipeline.paper.recipes import Preprocess
from pipeline.plan.datasets import Dataset
from pipeline.plan.plain_form import untagged
from pipeline.records.dataset import DatasetManifest, StoredObject
from pipeline.records.record import DamagedRecord
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import DatasetFolder

MEANS = "no run can be trained, verified or drawn with it"
FIX = "it is prepared again from the published data"


def data_faults(store: Store, dataset: Dataset, how: Preprocess, whole: bool) -> Iterator[Fault]:
    """Of one prepared data set; none where it is not prepared. Unless `whole`, lengths stand for digests."""
    folder = DatasetFolder(dataset, how)
    if (text := store.find(folder.manifest)) is None:
        return
    address, sizes = store.url_of(folder.manifest), store.sizes(folder.top)
    everything = tuple(folder.object(name) for name in sizes)
    lost = (folder.manifest,) if dataset.shard else everything
    try:
        manifest = DatasetManifest.from_json(text, address)
        mine = [manifest.dataset, manifest.preprocess] == json.loads(json.dumps([untagged(dataset), untagged(how)]))
        why = "" if mine else "it is the manifest of another data set"
    except DamagedRecord as error:
        why = reason(error, address)
        manifest = None
    if why or manifest is None:
        yield Fault(address, why, MEANS, FIX, remove=lost)
        return
    for name, made in manifest.objects.items():
        if why := _wrong(store, folder.object(name), sizes.get(name), made, whole):
            note = folder.object(name.removesuffix(".npy") + ".json")
            gone = (folder.object(name), note, folder.manifest) if "/" in name else everything
            yield Fault(store.url_of(folder.object(name)), why, MEANS, FIX, remove=gone)
    for name in sizes:
        if "/" in name and name.endswith(".json") and whole:
            yield from _note_fault(store, folder, name, manifest.objects.get(name.removesuffix(".json") + ".npy"))


def _wrong(store: Store, path: str, size: int | None, made: StoredObject, whole: bool) -> str:
    if size is None:
        return "it is gone, though the manifest names it"
    if size != made.bytes and made.bytes:
        return f"it has {size} bytes, and the manifest says {made.bytes}"
    return "its SHA-256 is not the manifest's" if whole and sha256(store.read_buffer(path)) != made.sha256 else ""


def _note_fault(store: Store, folder: DatasetFolder, name: str, made: StoredObject | None) -> Iterator[Fault]:
    """The note of a shard, by which an unfinished preparation goes on."""
    path = folder.object(name)
    try:
        right, why = store.find_record(StoredObject, path) in (None, made), "it is the note of another shard"
    except DamagedRecord as error:
        right, why = False, reason(error, store.url_of(path))
    if not right:
        write = {path: made.to_json()} if made else {}
        yield Fault(store.url_of(path), why, "nothing, while the data set is whole", "it is written again", write=write)
