"""The vocabulary of the paper's network tables. Rows only; shapes are worked out in shapes.py, modules in numerics."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """A square convolution followed by a ReLU. As large as its map and unpadded, it is a fully connected layer."""

    size: int
    width: int  # output channels
    stride: int = 1
    pad: int | None = None  # None: "same", (size - 1) / 2 zeros on every side
    relu: bool = True  # the paper rectifies the last 1x1 too (READING.md)
    slope: float = 0.0  # of the ReLU below zero; above 0 it is a leaky one (Table 5)

    def __post_init__(self):
        if not all(isinstance(n, int) and n >= 1 for n in (self.size, self.width, self.stride)):
            raise ValueError(f"a convolution's size, width and stride are whole numbers, at least 1, not {self}")
        if self.pad is None and self.size % 2 == 0:
            raise ValueError(f"'same' padding wants an odd size, not {self.size}: give pad")
        if self.pad is not None and not (isinstance(self.pad, int) and self.pad >= 0):
            raise ValueError(f"pad is a whole number, at least 0, not {self.pad!r}")
        if not 0 <= self.slope < 1:
            raise ValueError(f"slope must lie in [0, 1), not {self.slope}")

    @property
    def padding(self) -> int:
        return (self.size - 1) // 2 if self.pad is None else self.pad


@dataclass(frozen=True)
class Pool:
    """Max-pooling without padding, in ceil mode as Caffe had it; 3x3 with stride 2 is the paper's."""

    size: int = 3
    stride: int = 2

    def __post_init__(self):
        if not all(isinstance(n, int) and n >= 1 for n in (self.size, self.stride)):
            raise ValueError(f"a pool's size and stride are whole numbers, at least 1, not {self}")


@dataclass(frozen=True)
class Dropout:
    """Dropout of single values."""

    p: float  # of the values, set to zero while training

    def __post_init__(self):
        if not 0 <= self.p < 1:
            raise ValueError(f"dropout share must lie in [0, 1), not {self.p}")


Layer = Conv | Pool | Dropout
