"""Edges of verdicts: an interval that ends at 0, a run that guesses, candidates that must not be compared."""

from dataclasses import replace

import pytest
from support.synthetic import BEST, cell_of, made, of, papers, result

from pipeline.evaluation import table_claims
from pipeline.evaluation.intervals import Count, between, from_number
from pipeline.evaluation.results import Run, counts
from pipeline.evaluation.verdicts import verdict
from pipeline.paper.claims import Claim, Comparison, Setting
from pipeline.paper.published_errors import published_error


def test_no_interval_reaches_below_no_error():
    """0.1, 0.1, 0.1, 0.1 and 5 %: by hand 1.08 - 2.776 x 2.19 / sqrt(5) = -1.64."""
    errors = {e.id: result(e, 5.0 if e.seed == 4 else 0.1) for e in of("all-cnn-c", lambda e: e.recipe.lr == BEST)}
    row = cell_of(made(**errors))
    assert (row["error"], row["low"]) == (1.08, 0)
    assert row["high"] == pytest.approx(1.08 + 2.7764 * 2.1913 / 5**0.5, abs=1e-3)


def test_one_run_that_guesses_makes_a_network_inconclusive():
    runs = [
        Run(e, result(e, 90.0 if e.seed == 2 else 9.0 + e.seed / 100))
        for e in of("all-cnn-c", lambda e: e.recipe.lr == BEST)
    ]
    claim = published_error("all-cnn-c")
    found = verdict(True, claim, runs, from_number(list(counts(runs).values()), claim.error))
    assert found == ("inconclusive", "1 of 5 finished runs are no better than guessing")


def test_of_runs_by_another_revision_no_rate_is_chosen():
    """Seed 0 at 0.25 alone is of another revision: the other rates' runs agree among themselves."""
    odd = next(e for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (0.25, 0))
    row = cell_of(made(papers(), 0.1, **{odd.id: result(odd, 30.0, summary={"revision": 99})}))
    assert row["verdict"] == "refused"
    assert f"99: {odd.id}" in row["because"]


def test_a_claim_of_fewer_parameters_is_contradicted_by_their_number():
    """All-CNN-B for ImageNet has 9,372,840."""
    comparison = Comparison(Setting("all-cnn-a"), Setting("model-a"), high=0.0)
    tested = [table_claims.Tested(comparison, between({0: Count(1, 9)}, {0: Count(2, 9)}))]
    for most, verdict_, words in (
        (10e6, "not run", "are fewer than 10,000,000"),
        (9e6, "contradicted", "are not fewer"),
    ):
        found = table_claims.claim_verdict(
            Claim(1, "It is small.", (comparison,), ("imagenet-all-cnn-b", most)), tested
        )
        assert found[0] == verdict_
        assert f"9,372,840 parameters {words}" in found[1]


def test_damage_is_told_before_a_crash():
    """Of the runs that choose a rate, one crashed, and files of another are damaged."""
    lost = {
        e.id: replace(result(e, 9.0), outcome="crashed") for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (0.1, 0)
    }
    spoiled = next(e for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (0.01, 0))
    damaged = {spoiled.id: replace(result(spoiled, 9.0), outcome="damaged", why=("the weights are gone.",))}
    row = cell_of(made(**lost | damaged))
    assert (row["verdict"], row["because"]) == ("damaged", "the weights are gone.")
