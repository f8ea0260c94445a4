"""The numbers the paper prints, each with its place and how well we know it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One error the paper reports."""

    table: int
    network: str
    dataset: str
    augmented: bool
    error: float  # percent of the test images
    parameters: float | None  # as printed
    support: str  # how the number is known: two transcriptions agree, or other papers quote it


def _table_3() -> tuple[Claim, ...]:
    rows = {
        # network            error  parameters
        "model-a":          (12.47, 0.90e6),
        "strided-cnn-a":    (13.46, 0.90e6),
        "convpool-cnn-a":   (10.21, 1.28e6),
        "all-cnn-a":        (10.30, 1.28e6),
        "model-b":          (10.20, 1.00e6),
        "strided-cnn-b":    (10.98, 1.00e6),
        "convpool-cnn-b":   ( 9.33, 1.35e6),
        "all-cnn-b":        ( 9.10, 1.35e6),
        "model-c":          ( 9.74, 1.30e6),
        "strided-cnn-c":    (10.19, 1.30e6),
        "convpool-cnn-c":   ( 9.31, 1.40e6),
        "all-cnn-c":        ( 9.08, 1.40e6),
    }  # fmt: skip
    return tuple(Claim(3, name, "cifar10", False, *row, "transcriptions") for name, row in rows.items())


TABLE_3 = _table_3()
TABLE_4 = (
    Claim(4, "all-cnn-c", "cifar10", True, 7.25, 1.3e6, "quotations"),
    Claim(4, "all-cnn-c", "cifar100", True, 33.71, None, "quotations"),
)
CLAIMS = TABLE_3 + TABLE_4


def claimed(network: str, dataset: str = "cifar10", augmented: bool = False) -> Claim | None:
    """The paper's claim on a network, if it makes one."""
    return next((c for c in CLAIMS if (c.network, c.dataset, c.augmented) == (network, dataset, augmented)), None)
