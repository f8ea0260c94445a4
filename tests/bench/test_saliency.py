"""What is measured beside captum is the same maps."""

import sys

import pytest

from pipeline.bench.saliency import WAYS, beside_captum, measure
from pipeline.errors import UserError


def test_every_way_computes_captums_maps():
    one, batches, ours, quick = measure("strided-cnn-a", images=3)
    assert [row.way for row in (one, batches, ours, quick)] == list(WAYS)
    assert one.times_captum == 1
    assert max(batches.difference, ours.difference) < 1e-6
    assert quick.difference > 0
    assert quick.correlation > 0.9
    assert all(row.maps_per_cpu_second > 0 for row in (one, batches, ours, quick))


def test_without_captum_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    said = []
    assert "captum is not installed" in beside_captum(3, said.append)["why"]
    assert "captum is not installed" in said[0]
    with pytest.raises(UserError, match="Did you mean all-cnn-c"):
        measure("all-cn-c")
