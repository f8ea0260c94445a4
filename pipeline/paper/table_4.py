"""Table 4: the errors of others that the paper stands beside, in its four panels."""

from dataclasses import dataclass

from pipeline.paper.published_errors import AGAIN, TABLE_4, PublishedError


@dataclass(frozen=True)
class Method:
    """Another method's published error, as Table 4 prints it."""

    method: str
    source: str  # the publication the paper takes it from
    error: float  # percent of the test images
    parameters: str  # as printed; "" where nothing is
    support: str  # as in published_errors.py


@dataclass(frozen=True)
class Panel:
    """One part of Table 4: what was known, and the paper's row."""

    title: str
    known: tuple[Method, ...]
    ours: PublishedError

    def error(self, method: str) -> float:
        """The printed error of a method in this panel."""
        return next(n.error for n in self.known if n.method == method)


GOODFELLOW, LIN, LEE = "Goodfellow et al. 2013", "Lin et al. 2014", "Lee et al. 2014"
STOLLENGA, SRIVASTAVA, GRAHAM = "Stollenga et al. 2014", "Srivastava and Salakhutdinov 2013", "Graham 2015"

PLAIN = Panel(
    "CIFAR-10 without augmentation",
    (
        Method("Maxout", GOODFELLOW, 11.68, "> 6 M", "quotations"),
        Method("Network in Network", LIN, 10.41, "~ 1 M", "quotations"),
        Method("Deeply Supervised", LEE, 9.69, "~ 1 M", "quotations"),
    ),
    AGAIN,
)
AUGMENTED = Panel(
    "CIFAR-10 with augmentation",
    (
        Method("Maxout", GOODFELLOW, 9.38, "> 6 M", "quotations"),
        Method("DropConnect", LIN, 9.32, "", "quotations"),
        Method("dasNet", STOLLENGA, 9.22, "> 6 M", "memory"),
        Method("Network in Network", LIN, 8.81, "~ 1 M", "quotations"),
        Method("Deeply Supervised", LEE, 7.97, "~ 1 M", "quotations"),
    ),
    TABLE_4[0],
)
CIFAR_100 = Panel(
    "CIFAR-100",
    (
        Method("CNN + tree prior", SRIVASTAVA, 36.85, "", "memory"),
        Method("Network in Network", LIN, 35.68, "", "quotations"),
        Method("Deeply Supervised", LEE, 34.57, "", "quotations"),
        Method("Maxout (larger)", STOLLENGA, 34.54, "", "memory"),
        Method("dasNet", STOLLENGA, 33.78, "", "memory"),
        Method("Fractional pooling, 1 test", GRAHAM, 31.45, "", "memory"),
        Method("Fractional pooling, 12 tests", GRAHAM, 26.39, "", "quotations"),
    ),
    TABLE_4[1],
)
HEAVY = Panel(
    "CIFAR-10 with very large augmentation",
    (
        Method("Fractional pooling, 1 test", GRAHAM, 4.50, "", "quotations"),
        Method("Spatially sparse CNN", GRAHAM, 4.47, "", "memory"),
        Method("Fractional pooling, 100 tests", GRAHAM, 3.47, "", "quotations"),
    ),
    TABLE_4[2],
)
TABLE_4_PANELS = (PLAIN, AUGMENTED, CIFAR_100, HEAVY)

KRIZHEVSKY = Method("Krizhevsky et al.", "Krizhevsky et al. 2012", 40.7, "> 60 M", "text")  # beside ImageNet's 41.2
