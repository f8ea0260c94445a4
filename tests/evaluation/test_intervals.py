"""Witnesses: scipy's own tests, textbook examples worked by hand, and coverage by simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pipeline.evaluation.intervals import (
    CONFIDENCE,
    ONE_RUN,
    PAIRS,
    SAMPLES,
    SEEDS,
    TWO_RUNS,
    Count,
    better_than_chance,
    between,
    from_number,
    holm,
    of_mean,
    of_run,
)

LEFT, RIGHT = [903, 921, 899, 930, 912], [951, 940, 948, 962, 939]


def runs(wrong, seen=10_000):
    return {seed: Count(n, seen) for seed, n in enumerate(wrong)}


def errors(wrong):
    return np.array(wrong) / 100


def test_t_over_five_seeds_by_hand():
    """9.0, 9.1, 9.2, 9.3, 9.4: mean 9.2, deviation sqrt(0.1 / 4), and t(0.975, 4) = 2.776 of the tables."""
    found = of_mean([9.0, 9.1, 9.2, 9.3, 9.4])
    half = 2.7764 * np.sqrt(0.025) / np.sqrt(5)
    assert (found.low, found.high) == pytest.approx((9.2 - half, 9.2 + half), abs=1e-4)
    assert found.kind == SEEDS


def test_wilson_by_hand_and_by_scipy():
    """10 of 100 and z = 1.96: centre (0.1 + z²/200) / (1 + z²/100), as in Wilson (1927)."""
    found = of_run(Count(10, 100))
    z = 1.959964
    centre, spread = (0.1 + z**2 / 200) / (1 + z**2 / 100), z / (1 + z**2 / 100) * np.sqrt(0.0009 + z**2 / 40_000)
    assert (found.low, found.high) == pytest.approx((100 * (centre - spread), 100 * (centre + spread)), abs=1e-4)
    witness = stats.binomtest(10, 100).proportion_ci(CONFIDENCE, method="wilson")
    assert (found.low, found.high) == pytest.approx((100 * witness.low, 100 * witness.high))
    assert found.kind == ONE_RUN


@pytest.mark.parametrize(("side", "alternative"), [("larger", "greater"), ("smaller", "less")])
def test_several_seeds_against_a_number_is_the_one_sample_t_test(side, alternative):
    found = from_number(list(runs(LEFT).values()), 9.08)
    witness = stats.ttest_1samp(errors(LEFT) - 9.08, 0.5, alternative=alternative)
    assert found.p(side, 0.5) == pytest.approx(witness.pvalue)
    low, high = stats.ttest_1samp(errors(LEFT), 9.08).confidence_interval(CONFIDENCE)
    assert (found.interval.low, found.interval.high) == pytest.approx((low - 9.08, high - 9.08))
    assert (found.estimate, found.n) == (pytest.approx(errors(LEFT).mean() - 9.08), 5)


def test_common_seeds_are_paired():
    found = between(runs(LEFT), runs(RIGHT))
    witness = stats.ttest_rel(errors(LEFT), errors(RIGHT), alternative="less")
    assert found.p("smaller", 0) == pytest.approx(witness.pvalue)
    low, high = stats.ttest_rel(errors(LEFT), errors(RIGHT)).confidence_interval(CONFIDENCE)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.interval.kind == PAIRS


def test_a_seed_that_only_one_side_has_is_left_out_of_the_pairs():
    found = between(runs([*LEFT, 5000]), runs(RIGHT))
    assert found.estimate == pytest.approx(between(runs(LEFT), runs(RIGHT)).estimate)


def test_other_seeds_are_two_samples_of_unequal_scatter():
    right = {seed + 10: run for seed, run in runs(RIGHT).items()}
    found = between(runs(LEFT), right)
    witness = stats.ttest_ind(errors(LEFT), errors(RIGHT), equal_var=False)
    low, high = witness.confidence_interval(CONFIDENCE)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert 2 * found.p("smaller", 0) == pytest.approx(witness.pvalue)
    assert found.interval.kind == SAMPLES


def test_one_run_against_a_number_is_the_exact_binomial_test():
    """8 heads of 10 coins: 56 of 1024 are as many or more."""
    found = from_number([Count(8, 10)], 50.0)
    assert found.p("larger", 0) == pytest.approx(56 / 1024)
    assert found.p("smaller", 50) == 0  # certain: nothing is above 100 %


def test_one_run_each_is_newcombes_interval():
    """Newcombe (1998), table II, example (a), method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    found = between({0: Count(56, 70)}, {0: Count(48, 80)})
    assert (found.interval.low, found.interval.high) == pytest.approx((5.24, 33.39), abs=0.01)
    assert found.interval.kind == TWO_RUNS
    assert found.p("larger", 0) < 0.01 < found.p("larger", 10)


def test_two_runs_without_an_error_can_be_compared():
    """Newcombe (1998), table II, example (e), method 10: 0/10 against 0/20 gives -0.1611 to 0.2775."""
    found = between({0: Count(0, 10)}, {0: Count(0, 20)})
    assert (found.interval.low, found.interval.high) == pytest.approx((-16.11, 27.75), abs=0.01)
    assert found.p("larger", 0) > 0.2  # without a warning of a division by 0


def test_equivalence_is_a_90_percent_interval_within_the_margin():
    """Schuirmann (1987): two one-sided tests at 5 % agree with the 90 % interval lying inside."""
    for shift in np.linspace(-1.5, 1.5, 31):
        found = from_number([Count(round(100 * (e + shift)), 10_000) for e in errors(LEFT)], 9.0)
        values = [round(100 * (e + shift)) / 100 - 9.0 for e in errors(LEFT)]
        low, high = stats.ttest_1samp(values, 0).confidence_interval(0.90)
        assert (found.p_within(-1, 1) < 0.05) == (low > -1 and high < 1)


def test_outside_is_a_two_sided_question():
    found = from_number(list(runs(LEFT).values()), 8.0)
    assert found.p_outside(-1, 1) == pytest.approx(2 * found.p("larger", 1))
    assert found.p_outside(None, 0) == pytest.approx(found.p("larger", 0))


def test_runs_that_agree_exactly_decide_nothing():
    """No spread was measured: no interval of width 0, and no p-value speaks for anything."""
    apart = {7: Count(950, 10_000), 8: Count(950, 10_000)}  # no seed in common
    for right in (runs([950, 950, 950]), apart):
        found = between(runs([900, 900, 900]), right)
        assert found.estimate == pytest.approx(-0.5)
        assert found.interval is None
        assert found.p("smaller", 0) == found.p("larger", 0) == found.p_within(-1, 1) == found.p_outside(-1, 1) == 1
    pairs = between(runs([900, 910, 905]), runs([950, 960, 955]))  # equal differences, though no seed repeats another
    assert pairs.interval is None
    assert of_mean([9.08, 9.08]) is None
    assert from_number([Count(908, 10_000)] * 5, 9.08).interval is None


def test_guessing_is_no_better_than_chance():
    """Of 10,000 images of ten classes 9,000 wrong is chance, with a deviation of 30: 3 of them, by hand, are 8,910."""
    assert better_than_chance(Count(9_000, 10_000), 10) == pytest.approx(0.5, abs=0.01)
    assert better_than_chance(Count(8_910, 10_000), 10) == pytest.approx(0.00135, abs=3e-4)


def test_holm_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made to rise: 0.02, 0.03, 0.06, 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_holm_as_statsmodels_has_it():  # which collects garbage at every call: seconds in a large process
    for p_values in np.random.default_rng(0).uniform(0, 0.3, (2, 7)):
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


DRAWS = 10_000


def covered(intervals, truth):
    low, high = np.array([(i.low, i.high) for i in intervals]).T
    return 100 * np.mean((low <= truth) & (truth <= high))


def test_t_intervals_cover_95_percent_of_10_000_draws():
    draws = np.random.default_rng(0).normal(9.08, 0.25, (DRAWS, 5))
    assert covered((of_mean(draw) for draw in draws), 9.08) == pytest.approx(95, abs=1)


def test_wilson_intervals_cover_95_percent_of_10_000_draws():
    draws = np.random.default_rng(1).binomial(10_000, 0.0908, DRAWS)
    assert covered((of_run(Count(int(wrong), 10_000)) for wrong in draws), 9.08) == pytest.approx(95, abs=1)


def test_paired_intervals_cover_95_percent_of_10_000_draws():
    rng = np.random.default_rng(2)
    common = rng.normal(0, 0.3, (DRAWS, 5))  # what a seed does to both
    left = 9.1 + common + rng.normal(0, 0.1, (DRAWS, 5))
    right = 10.2 + common + rng.normal(0, 0.1, (DRAWS, 5))
    sides = (
        ({s: Count(round(1e4 * e), 1_000_000) for s, e in enumerate(draw)} for draw in side) for side in (left, right)
    )
    assert covered((between(*pair).interval for pair in zip(*sides, strict=True)), -1.1) == pytest.approx(95, abs=1)
