"""Faults of a run's pictures: the note beside each says which digests its files had when they were drawn."""

from collections.abc import Iterator, Mapping

from pipeline.integrity.fault import GONE, Fault, reason
from pipeline.records.dataset import StoredObject
from pipeline.records.record import DamagedRecord
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import RunFolder
from pipeline.visualization.notes import files_of, is_note

MEANS, FIX = "the page and the gallery show something else than was drawn", "the picture is drawn again"


def figure_faults(
    store: Store, run: RunFolder, sizes: Mapping[str, int], listed: Mapping[str, StoredObject], whole: bool
) -> Iterator[Fault]:
    """Of one run's pictures; `listed` is what can be pulled. Unless `whole`, lengths stand for digests, and notes are
    not read."""
    names = [name.removeprefix("figures/") for name in sizes if name.startswith("figures/")]
    made: dict[str, StoredObject] = {}
    for name in (name for name in names if whole and is_note(name)):
        path, address = run.figure(name), store.url_of(run.figure(name))
        try:
            made |= files_of(store.read(path), address)
        except DamagedRecord as error:
            yield _fault(run, names, name, address, reason(error, address))
    top = f"{run.top}/figures/"
    expected = {path.removeprefix(top): of for path, of in listed.items() if path.startswith(top)} | made
    for name, of in expected.items():
        size, path = sizes.get(f"figures/{name}"), run.figure(name)
        if size is None:
            why = GONE
        elif size != of.bytes:
            why = f"it has {size} bytes, and {of.bytes} were drawn"
        else:
            why = "its SHA-256 is not that of what was drawn" if whole and _sha256(store, path) != of.sha256 else ""
        if why and not (size is None and name.endswith(".json")):  # a picture that was taken away is drawn again
            yield _fault(run, names, name, store.url_of(path), why)


def _fault(run: RunFolder, names: list[str], name: str, address: str, why: str) -> Fault:
    stem = name.rsplit(".", 1)[0]
    whole = {name, *(other for other in names if other.rsplit(".", 1)[0] == stem)}
    return Fault(address, why, MEANS, FIX, remove=tuple(run.figure(part) for part in sorted(whole)))


def _sha256(store: Store, path: str) -> str:
    return sha256(store.find(path) or b"")
