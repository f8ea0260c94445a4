"""A finished run trained again from nothing, and how that compares with the original."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pipeline.records.record import Record
from pipeline.records.result import Summary

Comparison = Literal["same bits", "same counts", "within noise", "drifted"]


@dataclass(frozen=True, kw_only=True)
class Replication(Record):
    """What a run that was trained again came to. Errors are counts of the same test images."""

    REMEDY: ClassVar[str] = "Delete it: the run can be trained again at any time."

    at: str  # ISO 8601, UTC
    comparison: Comparison
    why: str  # in a sentence
    outcome: str  # of the replication
    original_wrong: int
    wrong: int = 0
    seen: int = 0
    original_model: str  # SHA-256 of the weights
    model: str = ""
    noise: float  # percentage points that two runs may differ by
    noise_of: str  # what that was measured on: seeds, or test images
    original: Summary
    summary: Summary  # of the replication: its machine, versions and commit
