"""The report's plots: errors, differences from the paper, learning curves, sensitivity to the learning rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter, MaxNLocator, NullLocator

from pipeline.evaluation.schema import rule_words
from pipeline.paper.claims import MARGIN
from pipeline.plan.schedule import RULES
from pipeline.publication.curves import Curve
from pipeline.publication.display import in_print
from pipeline.publication.svg import GRID, INK, MUTED, SERIES, Plot, legend, one_panel, plot, small_panels

TICKS = 4  # learning rates that have room for their numbers below a small panel
TITLE_WIDTH = 26  # characters of a panel's title before it goes on below
Row = dict[str, Any]  # of a table


@dataclass(frozen=True)
class Panel:
    """The learning curves of one cell."""

    title: str
    curves: Sequence[Curve]
    paper: float | None  # the error in print, where it is of this task

    def by_length(self) -> tuple[list[Curve], list[Curve]]:
        """Those that reached the last epoch, which have the same epochs; those that ended before."""
        last = max(curve.train[0][-1] for curve in self.curves)
        whole = [curve for curve in self.curves if curve.train[0][-1] == last]
        return whole, [curve for curve in self.curves if curve.train[0][-1] < last]


def errors(cells: Sequence[Row]) -> Plot | None:
    """Every cell's error with its interval, where there is no number in print to compare it with."""
    shown = [row for row in cells if row["error"] is not None]
    if not shown:
        return None
    figure, axes = one_panel(len(shown))
    _intervals(axes, shown, "error", "low", "high")
    axes.set_xlabel("test error, %")
    return plot("errors", "Errors with 95 % intervals", figure, _described(shown, "error", "low", "high", "%"))


def forest(cells: Sequence[Row]) -> Plot | None:
    """Differences from the paper with their intervals; the band is where an error counts as reproduced."""
    shown = [row for row in cells if row["difference"] is not None]
    if not shown:
        return None
    figure, axes = one_panel(len(shown))
    axes.axvspan(-MARGIN, MARGIN, color=GRID, alpha=0.6, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    _intervals(axes, shown, "difference", "difference_low", "difference_high")
    axes.set_xlabel("error less the paper's, percentage points")
    alt = _described(shown, "difference", "difference_low", "difference_high", "points")
    return plot("forest", "Differences from the paper with 95 % intervals", figure, alt)


def learning(panels: Sequence[Panel], columns: int = 4) -> Plot | None:
    """Test and training error by epoch: the mean over seeds, and the band from the lowest to the highest."""
    panels = [panel for panel in panels if panel.curves and all(len(curve.test[0]) for curve in panel.curves)]
    if not panels:
        return None
    figure, grid = small_panels(len(panels), columns)
    for axes, panel in zip(grid, panels, strict=True):
        _learning(axes, panel)
    if _reaches_zero(panels):  # of which a logarithm shows nothing
        grid[0].set_yscale("linear")
    legend(figure, max(grid, key=lambda axes: len(axes.get_legend_handles_labels()[1])), "epoch", 3)
    return plot("learning", "Learning curves", figure, " ".join(map(_ending, panels)))


def sensitivity(rates: Sequence[Row], columns: int = 4) -> Plot | None:
    """Error by learning rate, one small panel a cell; only where there is more than one rate."""
    cells: dict[str, list[Row]] = {}
    for row in rates:
        cells.setdefault(cell_name(row), []).append(row)
    shown = {name: [row for row in rows if row["error"] is not None] for name, rows in cells.items() if len(rows) > 1}
    shown = {name: sorted(rows, key=lambda row: row["lr"]) for name, rows in shown.items() if rows}
    if not shown:
        return None
    figure, grid = small_panels(len(shown), columns)
    for axes, (name, rows) in zip(grid, shown.items(), strict=True):
        _sensitivity(axes, name, rows)
    _show_rates(grid[0], sorted({row["lr"] for name in shown for row in cells[name]}))
    legend(figure, max(grid, key=lambda axes: len(axes.get_legend_handles_labels()[1])), "learning rate", 2)
    best = [f"{name}: lowest at {min(rows, key=lambda row: row['error'])['lr']:g}." for name, rows in shown.items()]
    return plot("sensitivity", "Sensitivity to the learning rate", figure, " ".join(best))


def _learning(axes: Axes, panel: Panel) -> None:
    whole, early = panel.by_length()
    for part, color in (("test", SERIES[0]), ("train", SERIES[1])):
        epochs = getattr(whole[0], part)[0]
        values = np.array([getattr(curve, part)[1] for curve in whole])
        axes.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.25, linewidth=0)
        axes.plot(epochs, values.mean(0), color=color, linewidth=1.2, label=f"{part} error")
        for curve in early:
            axes.plot(*getattr(curve, part), color=color, linewidth=0.6, linestyle=":")
    if panel.paper is not None:
        axes.axhline(panel.paper, color=MUTED, linewidth=0.8, linestyle="--", label="paper")
    axes.set_title(fill(panel.title, TITLE_WIDTH))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))  # errors may lie within one decade


def _reaches_zero(panels: Sequence[Panel]) -> bool:
    return any(not all(part[1]) for panel in panels for curve in panel.curves for part in (curve.test, curve.train))


def _sensitivity(axes: Axes, title: str, rows: list[Row]) -> None:
    for column, label, marker, color in (
        ("error", "test images", "o", SERIES[0]),
        ("held_out_error", "validation images", "s", SERIES[1]),
    ):
        known = [row for row in rows if row[column] is not None]
        if not known:
            continue
        x, y = [row["lr"] for row in known], [row[column] for row in known]
        axes.plot(x, y, color=color, marker=marker, markersize=3, linewidth=1, label=label)
    axes.margins(y=0.1)
    axes.set_title(fill(title, TITLE_WIDTH))


def _show_rates(axes: Axes, rates: Sequence[float]) -> None:
    """Of axes that are shared: all learning rates, trained or not."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    if len(rates) <= TICKS:
        axes.set_xticks(rates)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(rates[0] / 1.4, rates[-1] * 1.4)


def _intervals(axes: Axes, rows: list[Row], middle: str, low: str, high: str) -> None:
    """A dot with its interval on a line for every row, the first on top; the rules of choosing in two colors."""
    colors = [SERIES[1] if row["rule"] == "paper" else SERIES[0] for row in rows]
    places = range(len(rows))
    ends = ([math.nan if row[end] is None else row[end] for row in rows] for end in (low, high))
    axes.hlines(places, *ends, colors=colors, linewidth=1.6)
    axes.scatter([row[middle] for row in rows], places, c=colors, s=18, zorder=3)
    axes.set_yticks(list(places), [row_name(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def cell_name(row: Row) -> str:
    more = "" if row["dataset"] in ("cifar10", "digits", "imagenet") else f", {row['dataset']}"
    augmented = row["augmented"] and row["dataset"] != "imagenet"
    return f"{in_print(row['network'])}{more}{', augmented' if augmented else ''}"


def row_name(row: Row) -> str:
    return f"{cell_name(row)}, by {rule_words(row['rule'])}" if row["rule"] in RULES else cell_name(row)


def _described(rows: list[Row], middle: str, low: str, high: str, unit: str) -> str:
    def interval(row: Row) -> str:
        return "no interval" if row[low] is None else f"{row[low]:.2f} to {row[high]:.2f}"

    return " ".join(f"{row_name(row)}: {row[middle]:.2f} {unit} ({interval(row)})." for row in rows)


def _ending(panel: Panel) -> str:
    whole, early = panel.by_length()
    first, last = (np.mean([curve.test[1][at] for curve in whole]) for at in (0, -1))
    lost = f"; {len(early)} of {len(panel.curves)} runs ended early" if early else ""
    return f"{panel.title}: test error goes from {first:.1f} to {last:.1f} %{lost}."
