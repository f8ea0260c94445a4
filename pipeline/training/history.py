"""The learning curve of an attempt: a Parquet file with one row per epoch, rewritten as a whole after each."""

import io
from dataclasses import asdict

import pyarrow
import pyarrow.parquet

from pipeline.numerics.reference_loop import Epoch
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder


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
    except (FileNotFoundError, pyarrow.ArrowInvalid, TypeError):
        return []


def read(store: Store, run: RunFolder, attempt: int) -> list[Epoch]:
    """The rows of an attempt, those taken over from earlier attempts included; FileNotFoundError where it has none."""
    table = pyarrow.parquet.read_table(io.BytesIO(store.read(run.history(attempt))))
    return [Epoch(**row) for row in table.to_pylist()]
