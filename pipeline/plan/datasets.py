"""The data sets by name, each pinned to the SHA-256 of its raw images and labels."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A labelled set of square RGB images in two fixed parts."""

    name: str
    side: int  # pixels
    classes: int
    train: int  # images
    test: int
    sha256: str | None  # of the raw data as runs/sources.py defines it; None where nobody has published it
    shard: int = 0  # images a piece, read one after the other; 0: one piece that fits into memory


DATASETS = {
    "digits": Dataset("digits", 32, 10, 1442, 355, "50ca83379f02f9e3ef7b903adff3830f8d70bdda0c166f837fd384f7c18296a2"),
}
