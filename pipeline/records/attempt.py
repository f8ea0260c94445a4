"""Attempts on a run: who trains it, whether that process lives, how an attempt ended and what it ran on.

Times of day are ISO 8601 in UTC.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipeline.records.record import Record


@dataclass(frozen=True, kw_only=True)
class Owner(Record):
    """A process that acquires leases, as every other process can recognize it."""

    REMEDY: ClassVar[str] = "Delete it, once no process trains this run."
    SEALED: ClassVar[bool] = False

    token: str = ""  # random: no two owners are equal
    host: str
    boot: str  # differs after every start of the machine
    pid: int
    started: str  # when the process began, as the host tells it
    fleet: str = ""  # the fleet it belongs to
    rank: int = 0  # in the fleet


@dataclass(frozen=True, kw_only=True)
class LeaseRecord(Owner):
    """The right of one process to train a run, and which attempt on it that is."""

    attempt: int = 0
    at: str = ""


@dataclass(frozen=True, kw_only=True)
class Heartbeat(Record):
    """A sign of life of an owner, rewritten while it lives; how far it is stands there once that is known."""

    REMEDY: ClassVar[str] = "Delete it: a process that still trains this run writes it anew."
    SEALED: ClassVar[bool] = False

    beat: int = 0  # counts up
    at: str
    epoch: int | None = None  # epochs done
    epochs: int | None = None  # epochs planned
    epoch_seconds: float | None = None  # of the last epoch
    images: int | None = None  # of the epoch at work that lie behind
    images_per_second: float | None = None  # of training, observed in that epoch

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in super().plain().items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class AttemptEnd(Record):
    """How an attempt ended that has no result, or whose result was taken away."""

    REMEDY: ClassVar[str] = "Delete it: the attempt then counts as one that was cut off."
    SEALED: ClassVar[bool] = False

    how: str  # released, died, failed, or settled: the run had an outcome, and was retried
    why: str = ""
    at: str


@dataclass(frozen=True)
class Continued:
    """The checkpoint that an attempt continues."""

    attempt: int  # that wrote it
    epochs: int  # done
    part_seconds: float = 0.0  # of training in the next epoch, where it was written inside one


@dataclass(frozen=True, kw_only=True)
class Provenance(Record):
    """The code, versions and machine an attempt ran on."""

    REMEDY: ClassVar[str] = "Delete it: the attempt's cost is then left out."

    at: str  # when the attempt began
    commit: str | None = None
    dirty: bool | None = None  # whether the checkout had changes
    lock_sha256: str | None = None  # of uv.lock
    revision: int | None = None  # of the numerics
    dataset_manifest_sha256: str = ""
    whitening_sha256: str | None = None  # of the matrix as computed: it differs between machines
    python: str | None = None
    versions: dict[str, str | None] = field(default_factory=dict)  # of packages; None: not installed
    host: str | None = None
    processor: str | None = None
    device: str | None = None
    devices: int = 1
    together: int = 1  # runs that the attempt's process trained side by side, which shared the devices
    mode: str = "float32"  # number format of the computation
    threads: int = 1
    experiment_id: str = ""
    continues: Continued | None = None  # None: the attempt began anew, or was made by earlier code, which did not say

    def plain(self) -> dict[str, Any]:
        usual = {"experiment_id": "", "continues": None, "together": 1}  # left out, as earlier code wrote it
        return {n: v for n, v in super().plain().items() if n not in usual or getattr(self, n) != usual[n]}


@dataclass(frozen=True, kw_only=True)
class CheckpointNote(Record):
    """Says that a checkpoint was written whole."""

    REMEDY: ClassVar[str] = "Delete it: an older checkpoint is used."

    epochs_done: int
    sha256: str  # of the tensors' file
    bytes: int = 0
    part: dict[str, Any] | None = None  # of the next epoch: the fields of numerics' PartialEpoch

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in super().plain().items() if value is not None}
