"""Witnesses: the sizes that section 3 states; laws of choosing: results alone decide, nothing twice."""

import pytest

from pipeline.errors import UserError
from pipeline.paper.networks import TWELVE
from pipeline.plan.own_study import OwnStudy
from pipeline.plan.schedule import Cell, cell, chosen_learning_rates, flops, needed
from pipeline.plan.studies import STUDIES, part_of, study
from pipeline.records.result import Result


def test_digits_are_the_twelve_networks_for_each_seed():
    experiments = study("digits", 3).experiments
    assert [e.network.name for e in experiments] == list(TWELVE) * 3
    assert len({e.id for e in experiments}) == 36
    assert {e.id for e in study("digits", 1).experiments} < {e.id for e in experiments}


def test_a_study_lists_no_run_twice_and_only_all_shares_runs_with_others():
    ids = [e.id for name in STUDIES if name != "all" for e in study(name).experiments]
    assert len(ids) == len(set(ids))
    for name in STUDIES:
        assert len({e.id for e in study(name).wanted}) == len(study(name).wanted)


def test_the_paper_is_no_judge_of_digits():
    assert not study("digits").comparable


def test_an_unknown_study_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean digits"):
        study("digist")
    with pytest.raises(UserError, match=r"Did you mean digits\?"):  # only runs may be abbreviated
        study("dig")
    with pytest.raises(UserError, match="cifar-smoke or cifar-100"):
        study("cifar")
    with pytest.raises(UserError, match="Known: "):  # a word like none of them is answered with the list, not a guess
        study("nope")
    with pytest.raises(UserError, match="--seeds"):
        study("digits", 0)


def test_what_is_missing_is_the_rest_longest_first():
    experiments = study("digits").experiments
    settled = {experiments[0].id: {}, experiments[5].id: {}}
    rest = needed(study("digits"), settled)
    assert {e.id for e in rest} == {e.id for e in experiments} - settled.keys()
    assert [flops(e) for e in rest] == sorted((flops(e) for e in rest), reverse=True)


def test_table_3_is_twelve_networks_at_four_rates_and_its_search_never_sees_a_test_image():
    three = study("table-3", 1)
    assert {e.network.name for e in three.experiments} == set(TWELVE)
    assert sorted({e.recipe.lr for e in three.experiments}) == [0.01, 0.05, 0.1, 0.25]
    assert len(three.experiments) == len(three.search) == 48
    assert {(e.dataset.train, e.dataset.test) for e in three.experiments} == {(50_000, 10_000)}
    assert {(e.dataset.train, e.dataset.test) for e in three.search} == {(45_000, 5_000)}
    assert {e.network for e in three.experiments} == {e.network for e in three.search}
    assert three.comparable


def test_the_budget_is_that_of_the_networks_layers():
    # 14,870.0 MFLOP an image, forward and backward, summed over the twelve networks; 350 epochs of 50,000 images
    one_rate = [e for e in study("table-3", 1).experiments if e.recipe.lr == 0.05]
    assert sum(map(flops, one_rate)) == pytest.approx(14_870.0e6 * 50_000 * 350, rel=1e-4)
    [imagenet] = study("imagenet").experiments
    assert imagenet.recipe.epochs * imagenet.recipe.epoch_images == 450_000 * 64


def result(wrong, outcome="done"):
    return Result(outcome=outcome, attempt=1, wrong=wrong, seen=1000)


def outcomes(experiments, errors):
    """Results in which every experiment makes the errors that its learning rate is given."""
    return {e.id: result(errors[e.recipe.lr]) for e in experiments}


ERRORS = {0.25: 900, 0.1: 80, 0.05: 90, 0.01: 100}
HELD_OUT = {0.25: 900, 0.1: 90, 0.05: 80, 0.01: 100}


def test_seed_0_at_all_rates_then_the_search_then_further_seeds_where_a_rule_chose():
    three = study("table-3", 3)
    first = needed(three, {})
    assert [e.seed for e in first] == [0] * 96
    assert [e.dataset.name for e in first] == ["cifar10"] * 48 + ["cifar10-held-out"] * 48
    assert [e.recipe.lr for e in first[:48:12]] == [0.05, 0.01, 0.1, 0.25]
    at_one_rate = [flops(e) for e in first[:12]]
    assert at_one_rate == sorted(at_one_rate, reverse=True)  # the longest first: fewer workers wait at the end
    results = outcomes([e for e in three.experiments if e.seed == 0], ERRORS)
    after = needed(three, results)
    assert [e.dataset.name for e in after[:48]] == ["cifar10-held-out"] * 48
    assert {(e.recipe.lr, e.seed) for e in after[48:]} == {(0.1, 1), (0.1, 2)}
    results |= outcomes(three.search, HELD_OUT)
    last = needed(three, results)
    assert {(e.recipe.lr, e.seed) for e in last} == {(0.1, 1), (0.1, 2), (0.05, 1), (0.05, 2)}
    assert [e.seed for e in last] == [1] * 24 + [2] * 24
    assert needed(three, results | outcomes(last, ERRORS)) == []


def test_each_rule_chooses_by_its_own_results():
    three = study("table-3", 1)
    results = outcomes(three.experiments, ERRORS) | outcomes(three.search, HELD_OUT)
    assert set(chosen_learning_rates(three, results, "paper").values()) == {0.1}
    assert set(chosen_learning_rates(three, results, "held-out").values()) == {0.05}
    assert chosen_learning_rates(three, results, "paper").keys() == {Cell(name, "cifar10", False) for name in TWELVE}
    with pytest.raises(ValueError, match="lucky"):
        chosen_learning_rates(three, results, "lucky")


def test_each_data_set_of_a_study_chooses_by_its_own_errors():
    errors = {("cifar10", 0.1): 90, ("cifar10", 0.01): 100, ("cifar100", 0.1): 500, ("cifar100", 0.01): 350}
    two = OwnStudy("two", "?", ["all-cnn-c"], ["cifar10", "cifar100"], learning_rates=[0.1, 0.01], seeds=2).planned()
    results = {e.id: result(errors[e.dataset.name, e.recipe.lr]) for e in two.experiments if e.seed == 0}
    chosen = {this.dataset: lr for this, lr in chosen_learning_rates(two, results, "paper").items()}
    assert chosen == {"cifar10": 0.1, "cifar100": 0.01}
    assert {(e.dataset.name, e.recipe.lr, e.seed) for e in needed(two, results)} == {
        ("cifar10", 0.1, 1), ("cifar100", 0.01, 1),
    }  # fmt: skip


def test_nothing_is_chosen_while_a_candidate_is_out_and_a_diverged_one_never_is():
    three = study("table-3", 1)
    results = outcomes(three.experiments, ERRORS)
    mine = [e for e in three.experiments if e.network.name == "model-a"]
    best = next(e for e in mine if e.recipe.lr == 0.1)
    assert cell(best) not in chosen_learning_rates(three, {k: v for k, v in results.items() if k != best.id}, "paper")
    assert chosen_learning_rates(three, results | {best.id: result(0, "diverged")}, "paper")[cell(best)] == 0.05
    lost = {e.id: result(0, "crashed") for e in mine}
    assert cell(best) not in chosen_learning_rates(three, results | lost, "paper")
    even = outcomes(mine, dict.fromkeys(ERRORS, 80))
    assert (
        chosen_learning_rates(three, results | even, "paper")[cell(best)] == 0.01
    )  # of equal errors, the smallest rate


def test_cifar_100_takes_the_rate_that_cifar_10_chose():
    hundred = study("cifar-100", 2)
    assert {e.dataset.name for e in needed(hundred, {})} == {"cifar10", "cifar10-held-out"}
    plain = [e for e in hundred.tuned_on if not e.augmented]
    results = outcomes(plain, ERRORS) | outcomes([e for e in hundred.tuned_on if e.augmented], HELD_OUT)
    results |= outcomes(hundred.search, ERRORS)
    rest = {(e.dataset.name, e.augmented, e.recipe.lr, e.seed) for e in needed(hundred, results)}
    assert rest == {("cifar100", a, lr, seed) for a, lr in [(False, 0.1), (True, 0.05), (True, 0.1)] for seed in (0, 1)}
    assert {e.network.classes for e in hundred.experiments} == {100}


def test_all_is_every_part_once():
    everything = study("all")
    want = {e for name in ("table-3", "augmented", "cifar-100", "ablations", "held-out", "large", "imagenet")
            for e in study(name).wanted}  # fmt: skip
    assert set(everything.wanted) == want
    now = needed(everything, {})
    assert len(set(now)) == len(now)
    assert [e.dataset.name for e in now[:48]] == ["cifar10"] * 48


def test_a_part_of_a_study_is_one_network_with_or_without_the_validation_search():
    part = part_of(study("table-3"), "strided-cnn-a", validation=False)
    assert {e.network.name for e in part.wanted} == {"strided-cnn-a"}
    assert len(part.wanted) == 20
    assert len(part_of(study("table-3"), "strided-cnn-a").wanted) == 24
    with pytest.raises(UserError, match="Did you mean strided-cnn-a"):
        part_of(study("table-3"), "strided-a")
    [run] = part_of(study("table-3", 1), "strided-cnn-a", 0.05, validation=False).wanted
    assert run.recipe.lr == 0.05
    with pytest.raises(UserError, match=r"0.5: choose 0.01, 0.05, 0.1, 0.25"):
        part_of(study("table-3"), learning_rate=0.5)
