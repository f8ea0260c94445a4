"""Which attempts a run's weights come from, and how long each trained them: an attempt may continue an earlier one."""

from collections import defaultdict
from dataclasses import fields

from pipeline.numerics.reference_loop import Epoch
from pipeline.records.attempt import Provenance
from pipeline.records.result import Origin
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.training import history


def shares(store: Store, run: RunFolder, last: int, rows: list[Epoch]) -> dict[int, float]:
    """Seconds of training in the run of every attempt that its weights come from; attempt `last` ended the run.

    `rows` are all epochs of the run. Of an epoch that one attempt began and another finished, each has its part.
    """
    found: dict[int, float] = defaultdict(float)
    number, end, after = last, len(rows), 0.0  # the attempt trained up to epoch `end`, and `after` seconds of that one
    while True:
        made = store.find_record(Provenance, run.provenance(number))
        source = made.continues if made else None
        if source is None or source.attempt >= number:
            break
        found[number] += sum(row.seconds for row in rows[source.epochs : end]) + after - source.part_seconds
        number, end, after = source.attempt, source.epochs, source.part_seconds
    found[number] += after
    for attempt, row in zip(_inferred(store, run, number, rows[:end]), rows[:end], strict=True):
        found[attempt] += row.seconds
    return dict(found)


def _inferred(store: Store, run: RunFolder, last: int, rows: list[Epoch]) -> list[int]:
    """For each epoch the attempt that finished it, by the histories: earlier code did not record what it continued."""
    found = [last] * len(rows)
    for attempt in range(last - 1, 0, -1):  # the earliest with the same row trained the epoch, the others copied it
        for epoch, (theirs, kept) in enumerate(zip(history.find(store, run, attempt), rows, strict=False)):
            if theirs != kept:  # this epoch and all after it were trained again
                break
            found[epoch] = attempt
    return found


def origin_of(made: Provenance) -> Origin:
    """The part of an attempt's provenance that can change the numbers, or says where they come from."""
    copied = {field.name: getattr(made, field.name) for field in fields(Origin) if field.name != "torch"}
    return Origin(torch=made.versions.get("torch"), **copied)


def earlier_origins(store: Store, run: RunFolder, last: int, attempts: list[int]) -> tuple[Origin, ...]:
    """The origins of `attempts`, each once, without that of attempt `last`."""
    found = {number: store.find_record(Provenance, run.provenance(number)) for number in sorted({*attempts, last})}
    origins = {number: origin_of(made) for number, made in found.items() if made}
    return tuple(one for one in dict.fromkeys(origins.values()) if one != origins.get(last))
