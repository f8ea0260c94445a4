"""Witness: differences between cells that the paper's text speaks of, and its numbers held against its sentences."""

import pytest

from pipeline.paper.claims import STATEMENTS, Comparison, Setting
from pipeline.paper.networks import NETWORKS, TWELVE
from pipeline.paper.published_errors import CLAIMS, CONTRADICTIONS, TABLE_3, claimed
from pipeline.paper.shapes import parameters
from pipeline.paper.table_4 import HEAVY, TABLE_4_PANELS


def test_table_3_has_every_network_once():
    assert [claim.network for claim in TABLE_3] == list(TWELVE)


@pytest.mark.parametrize(("family", "strided", "all_cnn"), [("a", 0.99, -2.17), ("b", 0.78, -1.10), ("c", 0.45, -0.66)])
def test_strided_is_worse_than_the_base_and_all_cnn_better(family, strided, all_cnn):
    base = claimed(f"model-{family}").error
    assert claimed(f"strided-cnn-{family}").error - base == pytest.approx(strided)
    assert claimed(f"all-cnn-{family}").error - base == pytest.approx(all_cnn)


def test_the_headline_numbers():
    assert claimed("all-cnn-c").error == 9.08
    assert claimed("all-cnn-c", augmented=True).error == 7.25
    assert claimed("all-cnn-c", "cifar100", augmented=True).error == 33.71
    assert claimed("large-all-cnn", augmented=True).error == 4.41
    assert claimed("imagenet-all-cnn-b", "imagenet", augmented=True).error == 41.2
    assert claimed("all-cnn-c", "digits") is None


def test_a_claim_is_found_by_one_key_alone():
    assert len({(c.network, c.dataset, c.augmented) for c in CLAIMS}) == len(CLAIMS)
    assert {c.network for c in CLAIMS} <= set(NETWORKS)


def test_parameters_are_shown_as_printed():
    assert claimed("model-c").printed_parameters == "1.3 M"
    assert claimed("all-cnn-c", augmented=True).printed_parameters == "~ 1.3 M"
    assert claimed("large-all-cnn", augmented=True).printed_parameters == "> 50 M"
    assert claimed("all-cnn-c", "cifar100", augmented=True).printed_parameters == ""


def test_the_counts_of_c_contradict_those_of_all_cnn_c():
    assert parameters(TWELVE["all-cnn-c"]) - parameters(TWELVE["model-c"]) == 415_008
    assert claimed("all-cnn-c").parameters - claimed("model-c").parameters < 415_008
    assert {"model-c", "strided-cnn-c", "all-cnn-c"} == {name for c in CONTRADICTIONS for name in c.networks}


def test_in_every_panel_of_table_4_the_papers_row_stands_where_its_text_says():
    for panel in TABLE_4_PANELS:
        better = {n.method for n in panel.known if n.error < panel.ours.error}
        assert all(method.startswith("Fractional pooling") for method in better)
    assert [n.method for n in HEAVY.known if n.error < HEAVY.ours.error] == ["Fractional pooling, 100 tests"]


def test_the_sentences_are_fourteen_and_name_networks_that_exist():
    assert [s.number for s in STATEMENTS] == list(range(1, 15))
    sides = [side for s in STATEMENTS for c in s.comparisons for side in (c.left, c.right) if isinstance(side, Setting)]
    assert {side.network for side in sides} <= set(NETWORKS)
    assert all(s.comparisons or s.remark for s in STATEMENTS)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: str(s.number))
def test_the_papers_own_numbers_bear_out_its_sentences(statement):
    for comparison in statement.comparisons:
        difference = _printed_difference(comparison)
        if difference is not None:
            assert comparison.low is None or difference > comparison.low
            assert comparison.high is None or difference < comparison.high
    if statement.smaller:
        network, most = statement.smaller
        assert parameters(NETWORKS[network]) < most


def _printed_difference(comparison: Comparison) -> float | None:
    left, right = (_printed(side) for side in (comparison.left, comparison.right))
    return None if left is None or right is None else left - right


def _printed(side) -> float | None:
    if not isinstance(side, Setting):
        return side.error
    claim = claimed(side.network, side.dataset, side.augmented)
    return claim.error if claim else None
