"""Witness: differences between cells that the paper's text speaks of."""

import pytest

from pipeline.paper.claims import TABLE_3, claimed
from pipeline.paper.networks import TWELVE


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
    assert claimed("all-cnn-c", "digits") is None
