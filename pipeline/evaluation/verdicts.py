"""What follows from our runs for a number in print."""

from collections import Counter
from collections.abc import Sequence

from pipeline.evaluation.intervals import CONFIDENCE, Difference
from pipeline.evaluation.results import Run
from pipeline.paper.claims import MARGIN
from pipeline.paper.published_errors import Claim

SEEDS_NEEDED = 5  # finished runs at the chosen rate before anything but "inconclusive" is said
SIGNIFICANT = 1 - CONFIDENCE


def settle(
    comparable: bool, claim: Claim | None, runs: Sequence[Run], difference: Difference | None
) -> tuple[str, str]:
    """The verdict on a cell and a sentence that says why; `runs` are those at the chosen rate."""
    outcomes = Counter(run.outcome for run in runs)
    if not outcomes["done"]:
        return _without_a_number(outcomes)
    if not comparable:
        return "not comparable", "another task or another schedule than the paper's"
    if claim is None or difference is None:
        return "no number", "the paper prints no error for this"
    if outcomes["done"] < SEEDS_NEEDED:
        return "inconclusive", _too_few(outcomes, difference)
    if broken := outcomes["diverged"] + outcomes["crashed"]:
        return "inconclusive", f"{broken} of the runs have no error, and the others alone would flatter"
    return _measured(difference)


def _without_a_number(outcomes: Counter) -> tuple[str, str]:
    for outcome, why in (("diverged", "the loss was not finite"), ("crashed", "it failed time after time")):
        if outcomes[outcome]:
            return outcome, f"{outcomes[outcome]} of {outcomes.total() - outcomes['not run']} settled runs: {why}"
    return "not run", "no run at the chosen rate has come out yet"


def _too_few(outcomes: Counter, difference: Difference) -> str:
    said = f"{outcomes['done']} of {SEEDS_NEEDED} seeds"
    if difference.n == 1 and difference.p_within(-MARGIN, MARGIN) < SIGNIFICANT:
        return f"{said}; by the drawing of test images alone it lies within {MARGIN:g} points"
    return said


def _measured(difference: Difference) -> tuple[str, str]:
    found = f"{difference.estimate:+.2f} points ({difference.interval.low:+.2f} to {difference.interval.high:+.2f})"
    if (p := difference.p_within(-MARGIN, MARGIN)) < SIGNIFICANT:
        return "reproduced", f"{found}: within {MARGIN:g} points, p = {p:.2g} by two one-sided tests"
    if difference.interval.high < 0:
        return "better", f"{found}: below the paper's, and not shown to be within {MARGIN:g} points"
    if difference.interval.low > 0:
        return "worse", f"{found}: above the paper's, and not shown to be within {MARGIN:g} points"
    return "inconclusive", f"{found}: neither apart from the paper's nor shown to be within {MARGIN:g} points"
