"""The sentences that the runs of a study of your own decide, and numbers in print beside them."""

from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.paper.claims import MARGIN
from pipeline.paper.networks import Network
from pipeline.plan.datasets import Dataset


@dataclass(frozen=True)
class Printed:
    """An error in print, to stand beside a row of the table."""

    network: Network | str
    error: float  # percent of the test images
    who: str  # whose number it is
    data: Dataset | str | None = None  # None: the study's one data set
    augmented: bool | None = None  # None: as the study trains the network

    def __post_init__(self):
        _insist_on_kinds(self.network, self.data, self.augmented)
        if not isinstance(self.error, int | float) or not 0 <= self.error <= 100:
            raise UserError(f"an error in print is a percentage between 0 and 100, not {self.error!r}")


@dataclass(frozen=True)
class Difference:
    """Holds when `low` < error of `left` - error of `right` < `high`, in percentage points."""

    left: Network | str
    right: Network | str | Printed
    low: float | None = None
    high: float | None = None
    data: Dataset | str | None = None  # None: the study's one data set
    augmented: bool | None = None  # None: as the study trains the networks

    def __post_init__(self):
        _insist_on_kinds(self.left, self.data, self.augmented)
        if not isinstance(self.right, Network | str | Printed):
            raise UserError(f"what is compared with is a Network, its name or a Printed number, not {self.right!r}")


def _insist_on_kinds(network: object, data: object, augmented: object) -> None:
    """UserError where one is of another kind: Python itself would say so far from where it is written."""
    if not isinstance(network, Network | str):
        raise UserError(f"a network is a Network or its name, not {network!r}")
    if not isinstance(data, Dataset | str | None):
        raise UserError(f"data must be a data set or its name, not {data!r}")
    if not isinstance(augmented, bool | None):
        raise UserError(f"augmented must be True or False, not {augmented!r}")


def better(left: Network | str, than: Network | str | Printed, **where) -> Difference:
    """The left one makes fewer errors. `where`: data= and augmented= of both sides, where the study has several."""
    return Difference(left, than, high=0.0, **where)


def worse(left: Network | str, than: Network | str | Printed, **where) -> Difference:
    """The left one makes more errors."""
    return Difference(left, than, low=0.0, **where)


def alike(left: Network | str, right: Network | str | Printed, margin: float = MARGIN, **where) -> Difference:
    """The errors differ by less than `margin` percentage points."""
    return Difference(left, right, -margin, margin, **where)


def no_worse(left: Network | str, than: Network | str | Printed, margin: float = MARGIN, **where) -> Difference:
    """The left one makes at most `margin` percentage points more errors."""
    return Difference(left, than, high=margin, **where)
