"""Confidence intervals, one-sided tests, equivalence tests and Holm's adjustment; most by scipy and statsmodels.

Errors are percent, differences percentage points. Over several seeds an interval measures how training scatters on the
one test set; of a single run it can only measure how test images were drawn. Every interval says which of the two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy.stats import binomtest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, test_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from pipeline.records.result import error_percent

CONFIDENCE = 0.95
ROUNDING = 1e-9  # percentage points up to which errors are equal
SEEDS = "t over seeds"
PAIRS = "paired t over seeds"
SAMPLES = "Welch t over seeds"
ONE_RUN = "Wilson, one run"
TWO_RUNS = "Newcombe, one run each"

Side = Literal["larger", "smaller"]


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    kind: str


@dataclass(frozen=True)
class Count:
    """The errors of a finished run: images classified wrongly, of how many."""

    wrong: int
    seen: int

    @property
    def error(self) -> float:
        return error_percent(self.wrong, self.seen)


class Difference:
    """An error minus another or minus a number: estimate, interval, and tests against any bound.

    `interval` is None when several runs agree exactly: no spread was measured, so nothing is decided.
    """

    def __init__(self, estimate: float, interval: Interval | None, n: int, test: Callable[[Side, float], float]):
        self.estimate, self.interval, self.n = estimate, interval, n
        self._test = test

    def p(self, side: Side, bound: float) -> float:
        """The p-value of "the difference is `side` than `bound`": small when the data speak for it; 1 if no spread."""
        return 1.0 if self.interval is None else float(self._test(side, bound))

    def p_within(self, low: float | None, high: float | None) -> float:
        """Of "it lies between": the larger of two one-sided tests (TOST), or the only one."""
        below = [] if low is None else [self.p("larger", low)]
        return max([*below, *([] if high is None else [self.p("smaller", high)])])

    def p_outside(self, low: float | None, high: float | None) -> float:
        """Of "it lies outside": the smaller of the two, doubled, or the only one."""
        below = [] if low is None else [self.p("smaller", low)]
        both = [*below, *([] if high is None else [self.p("larger", high)])]
        return min(1.0, len(both) * min(both))


def of_mean(errors: Sequence[float]) -> Interval | None:
    """Student's t over two or more seeds; None when all errors are equal."""
    return None if is_constant(errors) else _interval(_t(errors).tconfint_mean(1 - CONFIDENCE), SEEDS)


def of_run(run: Count) -> Interval:
    """Wilson's score interval."""
    return _interval(proportion_confint(run.wrong, run.seen, 1 - CONFIDENCE, method="wilson"), ONE_RUN, 100)


def is_constant(errors: Sequence[float]) -> bool:
    """Whether several errors, in percent, are equal up to rounding."""
    return len(errors) > 1 and float(np.ptp(errors)) < ROUNDING


def of_runs(runs: Sequence[Count]) -> Interval | None:
    """`of_run` for one run, else `of_mean`."""
    return of_run(runs[0]) if len(runs) == 1 else of_mean([run.error for run in runs])


def better_than_chance(run: Count, classes: int) -> float:
    """The p-value of "its error is below that of guessing among `classes` classes of equal size"."""
    found: Any = binomtest(run.wrong, run.seen, 1 - 1 / classes, alternative="less")
    return float(found.pvalue)


def from_number(runs: Sequence[Count], number: float) -> Difference:
    """Our errors minus a number in print, percent, which is taken as exact."""
    within = of_runs(runs)
    moved = within and Interval(within.low - number, within.high - number, within.kind)
    estimate = float(np.mean([run.error for run in runs])) - number
    if len(runs) == 1:
        return Difference(estimate, moved, 1, partial(_p_one_run, runs[0], number))
    return _of_sample([run.error - number for run in runs], moved)


def between(left: Mapping[int, Count], right: Mapping[int, Count]) -> Difference:
    """The errors of two sets of runs, by seed, left minus right: paired where they share two seeds or more, else as two
    samples (Welch) or two single runs (Newcombe)."""
    both = sorted(left.keys() & right.keys())
    if len(both) >= 2:
        pairs = [left[seed].error - right[seed].error for seed in both]
        within = of_mean(pairs)
        return _of_sample(pairs, within and Interval(within.low, within.high, PAIRS))
    if len(left) >= 2 and len(right) >= 2:
        return _of_two_samples(*([run.error for run in side.values()] for side in (left, right)))
    return _of_two_runs(left[min(both or left)], right[min(both or right)])


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values after Holm's adjustment, in order: it bounds the chance that any of these tests errs."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)  # not by statsmodels, which collects garbage at every call
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted.tolist()


def _interval(ends: Any, kind: str, scale: float = 1) -> Interval:
    low, high = ends
    return Interval(scale * float(low), scale * float(high), kind)


def _t(values: Sequence[float]) -> Any:  # its parts are typed as integers
    return DescrStatsW(np.asarray(values, dtype=float))


def _of_sample(values: Sequence[float], interval: Interval | None) -> Difference:
    return Difference(
        float(np.mean(values)),
        interval,
        len(values),
        lambda side, bound: _t(values).ttest_mean(bound, alternative=side)[1],
    )


def _of_two_samples(left: list[float], right: list[float]) -> Difference:
    means: Any = CompareMeans(_t(left), _t(right))
    estimate = float(np.mean(left) - np.mean(right))
    constant = is_constant(left) and is_constant(right)
    return Difference(
        estimate,
        None if constant else _interval(means.tconfint_diff(1 - CONFIDENCE, usevar="unequal"), SAMPLES),
        min(len(left), len(right)),
        lambda side, bound: means.ttest_ind(alternative=side, usevar="unequal", value=bound)[1],
    )


def _of_two_runs(left: Count, right: Count) -> Difference:
    counts = (left.wrong, left.seen, right.wrong, right.seen)
    ends = confint_proportions_2indep(*counts, method="newcomb", compare="diff", alpha=1 - CONFIDENCE)

    def test(side: Side, bound: float) -> float:
        how: dict[str, Any] = {"method": "agresti-caffo", "compare": "diff", "alternative": side}
        with np.errstate(divide="ignore", invalid="ignore"):  # in the ratio and the odds, which it returns besides
            found: Any = test_proportions_2indep(*counts, value=bound / 100, **how)
        return found.pvalue

    return Difference(left.error - right.error, _interval(ends, TWO_RUNS, 100), 1, test)


def _p_one_run(run: Count, number: float, side: Side, bound: float) -> float:
    """The exact binomial test."""
    share = (number + bound) / 100
    if not 0 < share < 1:
        return float(not _beyond(run.error - number, side, bound))
    found: Any = binomtest(run.wrong, run.seen, share, alternative="greater" if side == "larger" else "less")
    return found.pvalue


def _beyond(estimate: float, side: Side, bound: float) -> bool:
    return estimate > bound if side == "larger" else estimate < bound
