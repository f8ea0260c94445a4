"""The page's plots and the curves that they draw."""

import re

import numpy as np
import pytest
from support.finished import SMOKE
from support.synthetic import result

from pipeline.evaluation.results import collect
from pipeline.numerics.reference_loop import Epoch
from pipeline.publication import curves, plots
from pipeline.store.paths import RunFolder
from pipeline.training import history


def test_curves_of_runs_that_ended_early_stand_apart():
    """Four seeds fall by one a epoch, a fifth ends at the tenth: it moves neither the mean nor the band."""

    def line(epochs):
        counted = np.arange(1.0, epochs + 1)
        return curves.Curve((counted, 90 - counted), (counted, 80 - counted))

    plot = plots.learning([plots.Panel("a cell", [line(40), line(10), line(40)], None)])
    assert plot.alt == "a cell: test error goes from 79.0 to 40.0 %; 1 of 3 runs ended early."
    whole_ones, early = plots.Panel("", [line(40), line(10)], None).by_length()
    assert (len(whole_ones[0].test[0]), len(early[0].test[0])) == (40, 10)


def test_long_curves_are_thinned_and_keep_their_ends(store):
    one = SMOKE.experiments[0]
    history.write(store, RunFolder(one.id), 1, [Epoch(n, 0.1, 1.0, n, 1000, n, 1000, 1.0) for n in range(350)])
    epochs, errors = curves.curves(store, {one.id: result(one, 3.0)}, [one.id])[one.id].test
    assert len(epochs) <= curves.POINTS
    assert (epochs[0], epochs[-1], errors[-1]) == (1, 350, 34.9)


def test_the_forest_has_a_mark_where_the_difference_is(tmp_path):
    """matplotlib draws differences -1, 0 and 2 at places whose distances are as 1 to 2."""
    rows = [
        {"network": n, "dataset": "cifar10", "augmented": False, "rule": "one rate", "difference": d,
         "difference_low": d - 0.1, "difference_high": d + 0.1}
        for n, d in (("a", -1.0), ("b", 0.0), ("c", 2.0))
    ]  # fmt: skip
    svg = plots.forest(rows).svg
    x = [float(found) for found in re.findall(r'<use xlink:href="#C0_[^"]*" x="([\d.]+)"', svg)] or [
        float(found)
        for found in re.findall(r'<use xlink:href="#[^"]*" x="([\d.]+)" y="[\d.]+" style="fill: var\(--first', svg)
    ]
    assert len(x) == 3
    assert (x[2] - x[1]) / (x[1] - x[0]) == pytest.approx(2, rel=1e-3)
    assert "#0102" not in svg  # every color has become a variable of the page
    assert "var(--" not in plots.forest(rows).alone()


def test_letters_are_as_large_in_a_figure_of_two_panels_as_of_twelve():
    def scale(count):
        curve = curves.Curve(train=([1, 2], [50.0, 20.0]), test=([1, 2], [60.0, 30.0]))
        svg = plots.learning([plots.Panel(f"n{n}", [curve], None) for n in range(count)]).svg
        rem, inches = re.search(r"max-width:([\d.]+)rem", svg)[1], re.search(r'viewBox="0 0 ([\d.]+)', svg)[1]
        return float(rem) / float(inches)

    assert scale(2) == pytest.approx(scale(12), rel=0.01)


def test_an_error_of_zero_is_drawn():
    """A logarithm would leave it out."""
    curve = curves.Curve(train=([1, 2], [50.0, 0.0]), test=([1, 2], [60.0, 0.0]))
    assert ">0<" in re.sub(r"\s", "", plots.learning([plots.Panel("n", [curve], None)]).svg)


def test_of_a_search_under_way_every_learning_rate_stands_below_the_panels():
    rows = [
        {"network": network, "dataset": "cifar10", "augmented": False, "lr": lr, "held_out_error": None,
         "error": error if lr == 0.05 else None}
        for network, error in (("all-cnn-a", 20.24), ("all-cnn-b", 23.84))
        for lr in (0.25, 0.1, 0.05, 0.01)
    ]  # fmt: skip
    plot = plots.sensitivity(rows)
    written = re.findall(r"<text[^>]*>([^<]*)</text>", plot.svg)
    assert [text for text in ("0.01", "0.05", "0.1", "0.25") if text not in written] == []
    assert "test images" in written
    assert "validation images" not in written  # of which there are none
    assert plot.alt == "All-CNN-A: lowest at 0.05. All-CNN-B: lowest at 0.05."


@pytest.mark.parametrize("whole", [False, True], ids=["no Parquet", "a footer of other bytes"])
def test_a_damaged_history_costs_its_curve_alone(smoke, whole):
    one, two = SMOKE.experiments
    path = RunFolder(one.id).history(1)
    data = smoke.read(path)
    footer = 8 + int.from_bytes(data[-8:-4], "little")
    smoke.write(path, data[:-footer] + b"?" * (footer - 8) + data[-8:] if whole else b"no parquet")
    assert list(curves.curves(smoke, collect(smoke, [one, two]), [one.id, two.id])) == [two.id]
