"""Studies whose truth is known: the verdicts come out as they must; what is missing, broken or mixed is said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.synthetic import BEST, TABLE_3, cell_of, claims, made, of, papers, result, results

from pipeline.evaluation import frames as tables
from pipeline.evaluation.intervals import Count, from_number
from pipeline.evaluation.results import Run, collect
from pipeline.evaluation.verdicts import verdict
from pipeline.paper.networks import for_classes
from pipeline.paper.published_errors import published_error
from pipeline.plan.schedule import needed
from pipeline.plan.studies import study
from pipeline.records.result import Result
from pipeline.store.paths import RunFolder


@pytest.mark.parametrize(
    ("shift", "std", "verdict"),
    [
        (0, 0.2, "reproduced"),
        (0.5, 0.1, "reproduced"),
        (3, 0.2, "worse"),
        (-3, 0.2, "better"),
        (0.4, 1.5, "inconclusive"),
    ],
)
def test_the_verdict_on_a_cell_is_that_of_the_truth(shift, std, verdict):
    cells = made(papers(shift), std)["cells"]
    assert len(cells) == 24
    assert set(cells["lr"]) == {BEST}
    assert set(cells["verdict"]) == {verdict}


def test_a_row_by_hand():
    """Errors 9.0, 9.1, 9.2, 9.3, 9.4 against 9.08, and t(0.975, 4) = 2.776."""
    runs = [e for e in TABLE_3.experiments if e.network.name == "all-cnn-c" and e.recipe.lr == BEST]
    fixed = {e.id: result(e, 9.0 + e.seed / 10) for e in runs}
    cells = made(std=0.0, price=3.6, **fixed)["cells"]
    row = cells[(cells["network"] == "all-cnn-c") & (cells["rule"] == "paper")].iloc[0]
    half = 2.7764 * np.sqrt(0.025 / 5)
    assert (row["error"], row["std"], row["seeds"]) == (9.2, pytest.approx(0.1581, abs=1e-4), 5)
    assert (row["low"], row["high"]) == pytest.approx((9.2 - half, 9.2 + half), abs=1e-3)
    assert (row["difference"], row["difference_low"]) == pytest.approx((0.12, 0.12 - half), abs=1e-3)
    assert (row["parameters"], row["paper_parameters"]) == (1_369_738, "1.4 M")
    assert (row["device_seconds"], row["wasted_seconds"], row["cost"]) == (100, 25, pytest.approx(0.1))
    assert row["runs"].split() == [e.id for e in runs]


def test_a_cell_at_the_margin_is_called_reproduced_once_in_twenty():
    """The law of a test: at the edge of what it must refuse, it errs as often as it says."""
    rng, wrong = np.random.default_rng(0), 0
    claim = published_error("all-cnn-c")
    runs = [Run(e, Result(outcome="done", attempt=1, wrong=908, seen=10_000)) for e in TABLE_3.experiments[:5]]
    for draw in rng.normal(claim.error + 1.0, 0.2, (2_000, 5)):
        found = from_number([Count(round(1e4 * error), 1_000_000) for error in draw], claim.error)
        wrong += verdict(True, claim, runs, found)[0] == "reproduced"
    assert wrong / 2_000 == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize(("lost", "outcomes"), [(4, "1 done, 4 diverged"), (1, "4 done, 1 diverged")])
def test_a_verdict_says_what_was_lost(lost, outcomes):
    have = results(TABLE_3.wanted, papers(), 0.1)
    for e in TABLE_3.experiments:
        if e.network.name == "all-cnn-c" and e.recipe.lr == BEST and e.seed > 4 - lost:
            have[e.id] = replace(have[e.id], outcome="diverged")
    row = cell_of(tables.make(TABLE_3, have))
    assert (row["verdict"], row["outcomes"]) == ("inconclusive", outcomes)
    assert row["because"] == f"{5 - lost} of 5 seeds have an error, {lost} diverged"


def test_five_equal_errors_are_suspicious_and_have_no_interval():
    same = {e.id: result(e, 9.08) for e in of("all-cnn-c", lambda e: e.recipe.lr == BEST)}
    found = made(**same)
    row = cell_of(found)
    assert row["verdict"] == "inconclusive"
    assert "suspicious: 5 seeds with equal errors" in row["because"]
    assert row[["low", "high", "difference_low", "difference_high"]].isna().all()


def test_networks_at_chance_did_not_learn():
    chance = {e.id: result(e, 90.0 + 0.01 * e.seed) for e in of("all-cnn-c")}
    found = made(**chance)
    row = cell_of(found)
    assert row["verdict"] == "did not learn"
    assert "no better than guessing" in row["because"]
    assert claims(found)[3] == "inconclusive"
    dead = {e.id: result(e, 90.0, outcome="dead") for e in of("all-cnn-c")}
    row = cell_of(made(**dead))
    assert (row["verdict"], row["because"]) == ("did not learn", "at none of 4 learning rates: 4 did not learn")


def test_on_few_images_an_error_far_below_guessing_is_not_called_guessing():
    """6 of 6 right in ten classes are certain enough; 6 of 6 in two classes have a probability of 1/64 by chance."""

    def guesses(wrong, seen, classes):
        one = TABLE_3.experiments[0]
        network = for_classes(one.network, classes)
        this = replace(one, network=network, dataset=replace(one.dataset, classes=classes))
        return Run(this, Result(outcome="done", attempt=1, wrong=wrong, seen=seen)).at_chance

    assert not guesses(0, 6, 2)
    assert not guesses(1, 6, 2)
    assert guesses(2, 6, 2)
    assert guesses(4, 6, 3)
    assert guesses(8_950, 10_000, 10)


def test_the_two_rules_stand_side_by_side_and_flattery_is_measured():
    """Test errors of seed 0 choose 0.1, by luck of 0.4 points; held-out errors choose 0.05."""

    def truth(e):
        if e.dataset.name != "cifar10":
            return 11.0 + abs(e.recipe.lr - BEST)
        return {0.1: 9.6 if e.seed == 0 else 10.0, BEST: 9.7}.get(e.recipe.lr, 12.0)

    found = made(truth, std=0.0)
    cells = found["cells"].set_index(["network", "rule"])
    assert (cells.loc[("model-a", "paper"), "lr"], cells.loc[("model-a", "held-out"), "lr"]) == (0.1, BEST)
    rates = found["rates"].set_index(["network", "lr"])
    assert rates.loc[("model-a", 0.1), "flatters"] == pytest.approx(0.4)
    assert rates.loc[("model-a", BEST), "by_held_out"]
    assert not rates.loc[("model-a", BEST), "by_paper"]
    assert len(rates) == 48


def test_three_seeds_decide_nothing():
    have = results(TABLE_3.wanted, papers(), 0.1)
    for e in of("all-cnn-c", lambda e: e.seed > 2):
        del have[e.id]
    row = cell_of(tables.make(TABLE_3, have))
    assert (row["verdict"], row["seeds"]) == ("inconclusive", 3)
    assert row["because"] == "3 of 5 seeds"
    assert row["outcomes"] == "3 done, 2 not run"


def test_one_run_says_that_its_interval_is_of_another_kind():
    have = results(of("all-cnn-c", lambda e: e.seed == 0), papers(), 0.0)
    row = cell_of(tables.make(TABLE_3, have))
    assert (row["verdict"], row["interval"]) == ("inconclusive", "Wilson, one run")
    assert "1 of 5 seeds" in row["because"]


def test_a_diverged_seed_is_not_forgotten():
    more = study("table-3", 6)
    have = results(more.wanted, papers(), 0.1)
    lost = next(e for e in more.experiments if e.network.name == "all-cnn-c" and (e.recipe.lr, e.seed) == (BEST, 4))
    have[lost.id] = replace(have[lost.id], outcome="diverged")
    row = cell_of(tables.make(more, have))
    assert (row["verdict"], row["outcomes"]) == ("inconclusive", "5 done, 1 diverged")
    assert row["because"] == "5 of 6 seeds have an error, 1 diverged"


def test_a_network_that_diverges_at_every_rate_is_called_so():
    lost = {e.id: result(e, 90.0, outcome="diverged") for e in of("all-cnn-c", lambda e: e.seed == 0)}
    have = {k: v for k, v in results(TABLE_3.wanted, papers(), 0.1).items() if not k.startswith("all-cnn-c.cifar10.")}
    assert cell_of(tables.make(TABLE_3, have | lost))["verdict"] == "diverged"


@pytest.mark.parametrize(("name", "value"), [("raw_sha256", "e" * 64), ("revision", 99)])
def test_mixed_runs_make_no_row_and_are_named(name, value):
    odd = next(e for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 3))
    found = made(**{odd.id: result(odd, 9.0, summary={name: value})})
    row = cell_of(found)
    assert row["verdict"] == "refused"
    assert pd.isna(row["error"])
    assert f"differing {name}" in row["because"]
    assert odd.id in row["because"]
    assert cell_of(found, "model-c")["verdict"] == "reproduced"
    rates = found["rates"]
    assert rates[(rates["network"] == "all-cnn-c") & (rates["lr"] == BEST)]["because"].item() == row["because"]
    assert claims(found)[3] == "refused"


def test_other_differences_of_origin_are_shown():
    odd = next(e for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 3))
    other = {"whitening_sha256": "0" * 64, "device": "another", "commit": "9" * 40, "dirty": True}
    row = cell_of(made(**{odd.id: result(odd, 9.0, summary=other)}))
    assert row["verdict"] == "reproduced"
    assert row["devices"] == "a device, another"
    assert row["commits"] == "0123456789ab 999999999999+"
    assert len(row["whitening_sha256"].split(", ")) == 2


def test_a_run_that_went_on_on_another_machine_shows_both():
    odd = next(e for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 3))
    began = {"mode": "bfloat16", "device": "another", "commit": "9" * 40, "dirty": True}
    row = cell_of(made(**{odd.id: result(odd, 9.0, summary={"mode": "float32", "earlier": [began]})}))
    assert row["devices"] == "a device, another"
    assert row["modes"] == "bfloat16, float32"
    assert row["commits"] == "0123456789ab 999999999999+"


def test_a_crash_says_nothing_of_a_learning_rate():
    """The best rate's run with seed 0 crashed: no other is chosen in its place."""
    have = results(TABLE_3.wanted, papers(), 0.1)
    lost = next(e for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 0))
    have[lost.id] = Result(outcome="crashed", attempt=3, why=("no memory",))
    found = tables.make(TABLE_3, have)
    row = cell_of(found)
    assert (row["verdict"], row["outcomes"]) == ("crashed", "3 done, 1 crashed")
    assert f"`strive retry {lost.id}`" in row["because"]
    assert pd.isna(row["lr"])
    assert claims(found)[3] == "inconclusive"
    assert needed(TABLE_3, have) == []


def test_a_network_is_called_diverged_when_all_its_rates_are():
    have = results([e for e in TABLE_3.wanted if e.network.name != "all-cnn-c"], papers(), 0.1)
    tried = [e for e in of("all-cnn-c") if e.seed == 0]
    for e in tried[:-1]:
        have[e.id] = result(e, 90.0, outcome="diverged")
    found = tables.make(TABLE_3, have)
    assert (cell_of(found)["verdict"], claims(found)[3]) == ("unfinished", "not run")
    assert cell_of(found)["outcomes"] == "3 diverged, 1 not run"
    found = tables.make(TABLE_3, have | {tried[-1].id: result(tried[-1], 90.0, outcome="diverged")})
    assert (cell_of(found)["verdict"], claims(found)[3]) == ("diverged", "inconclusive")


def test_results_are_those_the_store_holds(store):
    one, two = study("smoke").experiments
    store.write_json(RunFolder(one.id).result, result(one, 3.0).plain())
    assert collect(store, [one, two]) == {one.id: result(one, 3.0)}


def test_a_crashed_run_has_told_no_digest_and_mixes_with_nothing():
    seeds = study("imagenet", 2).experiments  # whose data are not pinned
    have = {
        seeds[0].id: result(seeds[0], 41.0, summary={"raw_sha256": "a" * 64}),
        seeds[1].id: Result(outcome="crashed", experiment_id=seeds[1].id, attempt=3, why=("no memory",)),
    }
    [cell] = tables.make(study("imagenet", 2), have)["cells"].to_dict("records")
    assert (cell["verdict"], cell["seeds"], cell["outcomes"]) == ("inconclusive", 1, "1 done, 1 crashed")
