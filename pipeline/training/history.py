"""The learning curve of an attempt: a Parquet file with one row per epoch, rewritten as a whole after each."""

import io
from dataclasses import asdict
from typing import Any

import pyarrow
import pyarrow.parquet

from pipeline.numerics.reference_loop import Epoch
from pipeline.records.record import DamagedRecord
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder

REMEDY = "`strive check STUDY --repair` sets it aside; the run is then trained again."
OPTIONAL = ("test_wrong", "test_seen")  # of epochs after which nothing was evaluated


def write(store: Store, run: RunFolder, attempt: int, rows: list[Epoch]) -> bytes:
    """Write all rows so far, those taken over from earlier attempts included; returns the file's bytes."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([asdict(row) for row in rows]), out)
    store.write(run.history(attempt), out.getvalue())
    return out.getvalue()


def find(store: Store, run: RunFolder, attempt: int) -> list[Epoch]:
    """The rows of an attempt; an empty list where the file is missing or damaged."""
    try:
        return read(store, run, attempt)
    except (FileNotFoundError, DamagedRecord):
        return []


def read(store: Store, run: RunFolder, attempt: int) -> list[Epoch]:
    """The rows of an attempt, those taken over from earlier attempts included.

    FileNotFoundError where it has none, DamagedRecord where the file does not hold them.
    """
    data, address = store.read(run.history(attempt)), store.url_of(run.history(attempt))
    try:
        return [_epoch(row) for row in pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()]
    except Exception as error:  # damaged files raise what Parquet's reader happens to raise
        raise DamagedRecord(f"{address} is damaged: {type(error).__name__} when it was read. {REMEDY}") from error


def _epoch(row: dict[str, Any]) -> Epoch:
    """The row as an epoch; TypeError where a field is missing or no number."""
    if not all(isinstance(value, int | float) or (value is None and name in OPTIONAL) for name, value in row.items()):
        raise TypeError("no numbers")
    return Epoch(**row)
