"""The fourteen sentences of the paper that a reproduction can test, each with the comparison that decides it.

A comparison holds when a difference of errors, in percentage points, lies in an open interval. What a paper's "about
as good" means in numbers is ours: MARGIN.
"""

from dataclasses import dataclass

from pipeline.paper.published_errors import IMAGENET
from pipeline.paper.table_4 import AUGMENTED, CIFAR_100, HEAVY, KRIZHEVSKY, PLAIN

MARGIN = 1.0  # percentage points: errors that differ by less are alike


@dataclass(frozen=True)
class Setting:
    """What an error is of."""

    network: str
    dataset: str = "cifar10"
    augmented: bool = False


@dataclass(frozen=True)
class PrintedError:
    """An error in print, taken as exact."""

    who: str
    error: float  # percent


@dataclass(frozen=True)
class Comparison:
    """Holds when `low` < error of `left` - error of `right` < `high`, in percentage points; None: no bound."""

    left: Setting
    right: Setting | PrintedError
    low: float | None = None
    high: float | None = None

    def __post_init__(self):
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not bounds or bounds != sorted(set(bounds)) or any(bound != bound for bound in bounds):
            raise ValueError(f"a comparison needs a bound, and low must be less than high, not {self.low}, {self.high}")
        if isinstance(self.right, Setting) and self.right.dataset != self.left.dataset:
            raise ValueError(
                f"errors of {self.left.dataset} and {self.right.dataset} have nothing to do with each other"
            )


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper in our words. It stands when all its comparisons hold."""

    number: int
    sentence: str
    comparisons: tuple[Comparison, ...] = ()
    smaller: tuple[str, float] | None = None  # a network and what its parameters stay below
    remark: str = ""  # what the comparisons leave out, or how else the sentence is answered


FAMILIES = "abc"


def _below(left: Setting, right: Setting | PrintedError) -> Comparison:
    return Comparison(left, right, high=0.0)


def _above(left: Setting, right: Setting | PrintedError) -> Comparison:
    return Comparison(left, right, low=0.0)


def _alike(left: Setting, right: Setting | PrintedError) -> Comparison:
    return Comparison(left, right, low=-MARGIN, high=MARGIN)


def _no_worse(left: Setting, right: Setting | PrintedError) -> Comparison:
    return Comparison(left, right, high=MARGIN)


def _families(compare, left: str, right: str) -> tuple[Comparison, ...]:
    """The same comparison in all three families."""
    return tuple(compare(Setting(f"{left}-{x}"), Setting(f"{right}-{x}")) for x in FAMILIES)


def _printed(panel, method: str) -> PrintedError:
    return PrintedError(method, panel.error(method))


A, C = Setting("model-a"), Setting("all-cnn-c")
C_AUGMENTED = Setting("all-cnn-c", augmented=True)
C_100 = Setting("all-cnn-c", "cifar100", augmented=True)
LARGE = Setting("large-all-cnn", augmented=True)
B_IMAGENET = Setting("imagenet-all-cnn-b", "imagenet", augmented=True)

CLAIMS = (
    Claim(
        1,
        "Model A, the simplest, already reaches 12.5 %.",
        (_no_worse(A, PrintedError("the paper's 12.5 %", 12.5)),),
    ),
    Claim(
        2,
        "Striding without pooling is worse than the base network in all three families.",
        _families(_above, "strided-cnn", "model"),
        remark="That it is less worse than one would fear, no number decides.",
    ),
    Claim(
        3,
        "All-CNN is better than its base network in all three families.",
        _families(_below, "all-cnn", "model"),
    ),
    Claim(
        4,
        "All-CNN is about on par with ConvPool in all three families: pooling is not what helps.",
        _families(_alike, "all-cnn", "convpool-cnn"),
    ),
    Claim(
        5,
        "Pooling does not hurt, and is not needed for the best results on small images.",
        (
            *_families(_no_worse, "convpool-cnn", "all-cnn"),
            _below(C, _printed(PLAIN, "Deeply Supervised")),
        ),
        remark="That pooling can regularize is shown by claim 2 alone.",
    ),
    Claim(
        6,
        "Stacked 3x3 convolutions suffice for the best result.",
        (_no_worse(C, Setting("all-cnn-a")), _no_worse(C, Setting("all-cnn-b"))),
    ),
    Claim(
        7,
        "All-CNN-C beats the best result of its time on CIFAR-10, without and with augmentation.",
        (
            _below(C, _printed(PLAIN, "Deeply Supervised")),
            _below(C_AUGMENTED, _printed(AUGMENTED, "Deeply Supervised")),
        ),
    ),
    Claim(
        8,
        "On CIFAR-100 All-CNN-C is level with the best of its time, untuned; only fractional pooling is better.",
        (
            _no_worse(C_100, _printed(CIFAR_100, "dasNet")),
            _above(C_100, _printed(CIFAR_100, "Fractional pooling, 1 test")),
        ),
    ),
    Claim(
        9,
        "A fully connected head in place of the 1x1 convolutions is worse, throughout.",
        tuple(_above(Setting(f"{name}-fc"), Setting(name)) for name in ("model-a", "model-b", "model-c", "all-cnn-c")),
        remark="The paper says by 0.5 to 1 %, and prints no further number; what decides here is the direction.",
    ),
    Claim(
        10,
        "More dropout brings nothing; 50 % on all layers hurts.",
        (
            _above(Setting("all-cnn-c-dropout-all"), C),
            Comparison(Setting("all-cnn-c-dropout-1x1"), C, low=-MARGIN),
        ),
    ),
    Claim(
        11,
        "Large-All-CNN is level with its max-pooling twin, and only fractional pooling over many tests is better.",
        (
            _alike(LARGE, _printed(HEAVY, "Spatially sparse CNN")),
            _above(LARGE, _printed(HEAVY, "Fractional pooling, 100 tests")),
        ),
        remark="The paper prints no recipe for this network, and ours is another author's.",
    ),
    Claim(
        12,
        "On ImageNet All-CNN-B makes 41.2 % with fewer than 10 M parameters, near Krizhevsky et al.",
        (
            _alike(B_IMAGENET, PrintedError("the paper's 41.2 %", IMAGENET.error)),
            _alike(B_IMAGENET, PrintedError(KRIZHEVSKY.method, KRIZHEVSKY.error)),
        ),
        smaller=("imagenet-all-cnn-b", 10e6),
    ),
    Claim(
        13,
        "Guided backpropagation gives clear pictures of high layers with and without pooling switches; deconvolution "
        "without them fails there. The first layer learns no Gabor filters, the third does.",
        remark="Pictures answer this, not errors: see the gallery.",
    ),
    Claim(
        14,
        "The authors' caveats: the schedule is not the best for every network, size or tuning would improve every "
        "result, and nothing here argues against pooling in general.",
        remark="No comparison of ours can contradict a caveat.",
    ),
)
