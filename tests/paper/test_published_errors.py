"""Witness: differences between cells that the paper's text speaks of, and its numbers held against its sentences."""

import pytest

from pipeline.paper.claims import CLAIMS, Comparison, Setting
from pipeline.paper.networks import NETWORKS, TWELVE
from pipeline.paper.published_errors import CONTRADICTIONS, PUBLISHED_ERRORS, TABLE_3, published_error
from pipeline.paper.shapes import parameters
from pipeline.paper.table_4 import HEAVY, TABLE_4_PANELS


def test_table_3_has_every_network_once():
    assert [claim.network for claim in TABLE_3] == list(TWELVE)


@pytest.mark.parametrize(("family", "strided", "all_cnn"), [("a", 0.99, -2.17), ("b", 0.78, -1.10), ("c", 0.45, -0.66)])
def test_strided_is_worse_than_the_base_and_all_cnn_better(family, strided, all_cnn):
    base = published_error(f"model-{family}").error
    assert published_error(f"strided-cnn-{family}").error - base == pytest.approx(strided)
    assert published_error(f"all-cnn-{family}").error - base == pytest.approx(all_cnn)


@pytest.mark.parametrize(("family", "above"), [("a", 0.09), ("b", -0.23), ("c", -0.23)])
def test_all_cnn_is_about_on_par_with_convpool(family, above):
    convpool = published_error(f"convpool-cnn-{family}").error
    assert published_error(f"all-cnn-{family}").error - convpool == pytest.approx(above)


@pytest.mark.parametrize(
    ("low", "high"), [(None, None), (1.0, -1.0), (0.0, 0.0), (float("nan"), None), (0.0, float("nan"))]
)
def test_a_comparison_needs_bounds_between_which_something_lies(low, high):
    with pytest.raises(ValueError, match="low must be less than high"):
        Comparison(Setting("model-a"), Setting("model-b"), low, high)


def test_a_setting_that_the_paper_does_not_report_has_no_error():
    assert published_error("all-cnn-c", "digits") is None
    assert published_error("model-a", augmented=True) is None


def test_a_claim_is_found_by_one_key_alone():
    assert len({(c.network, c.dataset, c.augmented) for c in PUBLISHED_ERRORS}) == len(PUBLISHED_ERRORS)
    assert {c.network for c in PUBLISHED_ERRORS} <= set(NETWORKS)


def test_parameters_are_shown_as_printed():
    assert published_error("model-c").printed_parameters == "1.3 M"
    assert published_error("all-cnn-c", augmented=True).printed_parameters == "~ 1.3 M"
    assert published_error("large-all-cnn", augmented=True).printed_parameters == "> 50 M"
    assert published_error("all-cnn-c", "cifar100", augmented=True).printed_parameters == ""


def test_the_counts_of_c_contradict_those_of_all_cnn_c():
    assert parameters(TWELVE["all-cnn-c"]) - parameters(TWELVE["model-c"]) == 415_008
    assert published_error("all-cnn-c").parameters - published_error("model-c").parameters < 415_008
    assert {"model-c", "strided-cnn-c", "all-cnn-c"} == {name for c in CONTRADICTIONS for name in c.networks}


def test_in_every_panel_of_table_4_the_papers_row_stands_where_its_text_says():
    for panel in TABLE_4_PANELS:
        better = {n.method for n in panel.known if n.error < panel.ours.error}
        assert all(method.startswith("Fractional pooling") for method in better)
    assert [n.method for n in HEAVY.known if n.error < HEAVY.ours.error] == ["Fractional pooling, 100 tests"]


def test_the_sentences_are_fourteen_and_name_networks_that_exist():
    assert [s.number for s in CLAIMS] == list(range(1, 15))
    sides = [side for s in CLAIMS for c in s.comparisons for side in (c.left, c.right) if isinstance(side, Setting)]
    assert {side.network for side in sides} <= set(NETWORKS)
    assert all(s.comparisons or s.remark for s in CLAIMS)


@pytest.mark.parametrize("statement", CLAIMS, ids=lambda s: str(s.number))
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
    claim = published_error(side.network, side.dataset, side.augmented)
    return claim.error if claim else None
