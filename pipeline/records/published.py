"""What lies beside a study's tables: what the study is, its editions, what can be pulled, what it was all made from."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.records.dataset import StoredObject
from pipeline.records.record import Record

AGAIN = "`strive check STUDY --repair` and `strive reproduce STUDY` make it again."


@dataclass(frozen=True, kw_only=True)
class StudyManifest(Record):
    """What makes up a study: its question, its run ids, and the numbers of the paper that it reproduces."""

    REMEDY: ClassVar[str] = AGAIN

    study: str
    question: str = ""
    comparable: bool = False
    relation: str = ""
    scale: str = ""
    runs: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()  # run ids of the studies whose results it reads too
    claims: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Edition(Record):
    """The tables of one publication, written when all of them are there; `latest.json` is a copy of the latest."""

    REMEDY: ClassVar[str] = AGAIN

    digest: str  # of the files' digests: the name of the edition's folder
    at: str = ""  # when it was first published, ISO 8601 in UTC; "" of earlier code: not known
    schema: int = 0
    files: dict[str, StoredObject]  # by name in the edition's folder


@dataclass(frozen=True, kw_only=True)
class FileList(Record):
    """What `strive pull` fetches, by path in the store, with the digests that the files had when they were made."""

    REMEDY: ClassVar[str] = AGAIN

    files: dict[str, StoredObject]


@dataclass(frozen=True, kw_only=True)
class Inputs(Record):
    """What the published tables, page and list follow from."""

    REMEDY: ClassVar[str] = AGAIN

    code: str  # digest of the code that publishes
    found: str  # digest of results, pictures and proofs
    study: str  # digest of the run ids
    runs: int
    price: float | None = None  # of a device-hour
