"""Prepared data sets: which objects they consist of."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.records.record import Record


@dataclass(frozen=True)
class StoredObject(Record):
    """Digest and length of an object."""

    REMEDY: ClassVar[str] = "Delete it: the object is then written again."

    sha256: str
    bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class DatasetManifest(Record):
    """The objects of a prepared data set, written when all of them are there."""

    REMEDY: ClassVar[str] = "`strive check STUDY --repair` removes it; `strive reproduce` prepares the data again."

    objects: dict[str, StoredObject]  # by name
    dataset: dict[str, Any]  # plain form of the Dataset
    preprocess: dict[str, Any]  # plain form of its preprocessing
    raw_sha256: str | None = None  # of the raw data
    whitening_sha256: str | None = None  # of the whitening; None for data sets kept as pixels

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in super().plain().items() if value is not None}
