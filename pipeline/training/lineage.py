"""Which attempts a run's final weights come from: an attempt may go on from the checkpoint of an earlier one."""

from dataclasses import fields

from pipeline.numerics.reference_loop import Epoch
from pipeline.records.attempt import Provenance
from pipeline.records.result import Origin
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.training import checkpoint, history


def trained_by(store: Store, run: RunFolder, last: int, rows: list[Epoch]) -> list[int]:
    """For every epoch in `rows`, the number of the attempt that trained it, or that ended it; `last` ended the run."""
    found = [last] * len(rows)
    for attempt in range(last - 1, 0, -1):  # the earliest that has an epoch trained it: later ones copied its row
        for epoch, (theirs, kept) in enumerate(zip(history.find(store, run, attempt), rows, strict=False)):
            if theirs != kept:  # trained again from an older checkpoint, and so were all that followed
                break
            found[epoch] = attempt
    return found


def origin_of(made: Provenance) -> Origin:
    """The part of an attempt's provenance that can change the numbers, or says where they come from."""
    copied = {field.name: getattr(made, field.name) for field in fields(Origin) if field.name != "torch"}
    return Origin(torch=made.versions.get("torch"), **copied)


def earlier_origins(store: Store, run: RunFolder, last: int, trained: list[int]) -> tuple[Origin, ...]:
    """The origins of earlier attempts that the weights come from, each once, without that of `last`.

    `trained` is from `trained_by`. An attempt that was stopped inside an epoch may have trained a part of it only: its
    checkpoint says so.
    """
    attempts = sorted({*trained, *checkpoint.inside_epochs(store, run), last})
    found = {number: store.find_record(Provenance, run.provenance(number)) for number in attempts if number <= last}
    origins = {number: origin_of(made) for number, made in found.items() if made}
    return tuple(one for one in dict.fromkeys(origins.values()) if one != origins.get(last))
