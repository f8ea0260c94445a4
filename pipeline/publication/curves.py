"""Learning curves as plots want them, read from the histories in the store; torch is not needed for that."""

import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet

from pipeline.records.result import Result, error_percent
from pipeline.store.objects import AT_ONCE, Store
from pipeline.store.paths import RunFolder

COLUMNS = ["epoch", "train_wrong", "train_seen", "test_wrong", "test_seen"]
POINTS = 120  # epochs kept of a curve: more are not seen


@dataclass(frozen=True)
class Curve:
    """Errors in percent by epoch, counted from 1; test errors only where the run was evaluated."""

    train: tuple[np.ndarray, np.ndarray]  # epochs, errors
    test: tuple[np.ndarray, np.ndarray]


def curves(store: Store, results: Mapping[str, Result], ids: Iterable[str]) -> dict[str, Curve]:
    """The curve of every run whose history is there and whole, by id."""
    asked = [id for id in ids if id in results and results[id].is_measured]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda id: _read(store, id, results[id].attempt), asked)
        return {id: curve for id, curve in zip(asked, found, strict=True) if curve is not None}


def _read(store: Store, id: str, attempt: int) -> Curve | None:
    data = store.find(RunFolder(id).history(attempt))
    if data is None:
        return None
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data), columns=COLUMNS).to_pydict()
    except Exception:  # damaged files raise what Parquet's reader happens to raise
        return None
    return Curve(_errors(table, "train"), _errors(table, "test"))


def _errors(table: dict[str, list], part: str) -> tuple[np.ndarray, np.ndarray]:
    columns = (table["epoch"], table[f"{part}_wrong"], table[f"{part}_seen"])
    known = [row for row in zip(*columns, strict=True) if None not in row]
    epoch, wrong, seen = np.array(_thinned(known), dtype=float).reshape(-1, 3).T
    return epoch + 1, error_percent(wrong, seen)


def _thinned(rows: list) -> list:
    """At most POINTS of them, evenly spread, the first and the last included."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), POINTS)).round().astype(int)
    return [rows[place] for place in dict.fromkeys(places)]
