"""The verdict on a number of the paper, from our runs."""

from collections import Counter
from collections.abc import Sequence

from pipeline.evaluation.intervals import CONFIDENCE, Difference
from pipeline.evaluation.results import Run
from pipeline.paper.claims import MARGIN
from pipeline.paper.published_errors import PublishedError

SEEDS_NEEDED = 5  # finished runs at the chosen learning rate that a verdict other than "inconclusive" needs
SUSPICIOUS = 3  # finished runs from which on exactly equal errors cannot be chance
NO_ERROR = (  # outcomes without an error, in words, and the reason
    ("diverged", "diverged", "the loss was not finite"),
    ("dead", "did not learn", "no gradient was left"),
    ("crashed", "crashed", "it failed time after time"),
)
SIGNIFICANT = 1 - CONFIDENCE


def verdict(
    comparable: bool, claim: PublishedError | None, runs: Sequence[Run], difference: Difference | None
) -> tuple[str, str]:
    """The verdict on a cell and its reason in a sentence; `runs` are those at the chosen learning rate."""
    outcomes = Counter(run.outcome for run in runs)
    if outcomes["damaged"]:
        return "damaged", damage_of(runs)
    if not outcomes["done"]:
        return _without_a_number(outcomes)
    if all(run.at_chance for run in runs if run.outcome == "done"):
        return "did not learn", f"{outcomes['done']} finished runs are no better than guessing{_lost(outcomes)}"
    if not comparable:
        return "not comparable", "another task or a smaller scale than the paper's"
    if claim is None or difference is None:
        return "no number", "there is no number in print for this"
    if lost := _lost(outcomes):
        return "inconclusive", f"{outcomes['done']} of {outcomes.total()} seeds have an error{lost}"
    if guessing := sum(run.at_chance for run in runs):
        return "inconclusive", f"{guessing} of {outcomes['done']} finished runs are no better than guessing"
    if difference.interval is None and outcomes["done"] >= SUSPICIOUS:
        return "inconclusive", f"suspicious: {outcomes['done']} seeds with equal errors, as if the seed were not used"
    if outcomes["done"] < SEEDS_NEEDED:
        return "inconclusive", _too_few(outcomes, difference)
    return _measured(difference)


def damage_of(runs: Sequence[Run]) -> str:
    """Which files of these runs are damaged."""
    return " ".join(run.result.why[-1] for run in runs if run.result and run.outcome == "damaged")


def _lost(outcomes: Counter) -> str:
    """How many runs ended without an error, in words: `, 2 diverged`; empty where there are none."""
    words = [f"{outcomes[kind]} {word}" for kind, word, _ in NO_ERROR if outcomes[kind]]
    return f", {' and '.join(words)}" if words else ""


def _without_a_number(outcomes: Counter) -> tuple[str, str]:
    for outcome, word, why in NO_ERROR:
        if outcomes[outcome]:
            return word, f"{outcomes[outcome]} of {outcomes.total() - outcomes['not run']} runs: {why}"
    return "not run", "no run at the chosen learning rate has come out yet"


def _too_few(outcomes: Counter, difference: Difference) -> str:
    said = f"{outcomes['done']} of {SEEDS_NEEDED} seeds"
    if difference.n == 1 and difference.p_within(-MARGIN, MARGIN) < SIGNIFICANT:
        return f"{said}; by the drawing of test images alone it lies within {MARGIN:g} points"
    return said


def _measured(difference: Difference) -> tuple[str, str]:
    assert difference.interval is not None
    found = f"{difference.estimate:+z.2f} points ({difference.interval.low:+z.2f} to {difference.interval.high:+z.2f})"
    if (p := difference.p_within(-MARGIN, MARGIN)) < SIGNIFICANT:
        return "reproduced", f"{found}: within {MARGIN:g} points, p = {p:.2g} by two one-sided tests"
    if difference.interval.high < 0:
        return "better", f"{found}: below the paper's, and not shown to be within {MARGIN:g} points"
    if difference.interval.low > 0:
        return "worse", f"{found}: above the paper's, and not shown to be within {MARGIN:g} points"
    return "inconclusive", f"{found}: neither shown to differ from the paper's nor to be within {MARGIN:g} points"
