"""The numbers the paper prints of its own networks, each with its place and how well we know it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedError:
    """One error the paper reports."""

    table: int | None  # None: the text alone
    row: str  # as the paper names it there
    network: str
    dataset: str
    augmented: bool
    error: float  # percent of the test images
    parameters: float | None  # as printed, with `bound` before it
    bound: str  # "", "~", "<" or ">"
    support: str  # how the number is known: the text itself, transcriptions that agree, quotations elsewhere, memory
    remark: str = ""  # what else a comparison with it must be read with

    @property
    def printed_parameters(self) -> str:
        """As the paper prints it: ~1.3 M."""
        return f"{self.bound} {self.parameters / 1e6:g} M".strip() if self.parameters else ""


def _table_3() -> tuple[PublishedError, ...]:
    rows = {
        # network           row               error  parameters
        "model-a":         ("Model A",        12.47, 0.90e6),
        "strided-cnn-a":   ("Strided-CNN-A",  13.46, 0.90e6),
        "convpool-cnn-a":  ("ConvPool-CNN-A", 10.21, 1.28e6),
        "all-cnn-a":       ("ALL-CNN-A",      10.30, 1.28e6),
        "model-b":         ("Model B",        10.20, 1.00e6),
        "strided-cnn-b":   ("Strided-CNN-B",  10.98, 1.00e6),
        "convpool-cnn-b":  ("ConvPool-CNN-B",  9.33, 1.35e6),
        "all-cnn-b":       ("ALL-CNN-B",       9.10, 1.35e6),
        "model-c":         ("Model C",         9.74, 1.30e6),
        "strided-cnn-c":   ("Strided-CNN-C",  10.19, 1.30e6),
        "convpool-cnn-c":  ("ConvPool-CNN-C",  9.31, 1.40e6),
        "all-cnn-c":       ("ALL-CNN-C",       9.08, 1.40e6),
    }  # fmt: skip
    return tuple(
        PublishedError(3, row, network, "cifar10", False, error, parameters, "", "transcriptions")
        for network, (row, error, parameters) in rows.items()
    )


TABLE_3 = _table_3()

# Table 4 prints Table 3's All-CNN-C once more, with other parameters; whether CIFAR-100 was augmented: READING.md
AGAIN = PublishedError(4, "ALL-CNN (Ours)", "all-cnn-c", "cifar10", False, 9.08, 1.3e6, "~", "transcriptions")
STAND_IN = "the recipe is another author's, for the paper prints none"
TABLE_4 = (
    PublishedError(4, "ALL-CNN (Ours)", "all-cnn-c", "cifar10", True, 7.25, 1.3e6, "~", "quotations"),
    PublishedError(4, "ALL-CNN (Ours)", "all-cnn-c", "cifar100", True, 33.71, None, "", "quotations"),
    PublishedError(4, "Large ALL-CNN (Ours)", "large-all-cnn", "cifar10", True, 4.41, 50e6, ">", "memory", STAND_IN),
)
# top-1, one crop from the middle of every validation image
IMAGENET = PublishedError(None, "All-CNN-B, appendix", "imagenet-all-cnn-b", "imagenet", True, 41.2, 10e6, "<", "text")

PUBLISHED_ERRORS = (*TABLE_3, *TABLE_4, IMAGENET)  # one for each network, data set and augmentation


def published_error(network: str, dataset: str = "cifar10", augmented: bool = False) -> PublishedError | None:
    """The paper's claim on a network, if it makes one."""
    return next(
        (c for c in PUBLISHED_ERRORS if (c.network, c.dataset, c.augmented) == (network, dataset, augmented)), None
    )


def printed_parameters(network: str) -> str:
    """The parameters that the paper gives a network, as it prints them; nothing where it gives none."""
    return next((c.printed_parameters for c in PUBLISHED_ERRORS if c.network == network), "")


@dataclass(frozen=True)
class Contradiction:
    """Where the paper's numbers cannot all be right."""

    networks: tuple[str, ...]
    what: str


CONTRADICTIONS = (
    Contradiction(
        ("model-c", "strided-cnn-c"),
        "Table 3 prints 1.3 M parameters for C and Strided-C and 1.4 M for All-CNN-C, whose two further 3x3 "
        "convolutions alone weigh 415,008: at 1.37 M for All-CNN-C, C has 0.95 M",
    ),
    Contradiction(("all-cnn-c",), "All-CNN-C has 1.4 M parameters in Table 3 and about 1.3 M in Table 4"),
)
