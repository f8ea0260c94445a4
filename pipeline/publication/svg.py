"""A figure of matplotlib as inline SVG; colors are variables of the page, and follow light and dark."""

import io
import re
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# what matplotlib draws with stands for a variable of the page; the second color is for where there is no page
COLORS = {
    "#010203": ("ink", "#1b1f24"),
    "#010204": ("muted", "#6a737d"),
    "#010205": ("grid", "#d8dee4"),
    "#010206": ("first", "#0b62c4"),
    "#010207": ("second", "#c2410c"),
}
INK, MUTED, GRID, *SERIES = COLORS
REM_AN_INCH = 6.4  # of the figure: what is drawn with 9 points is read with about 14 pixels
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and selected
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Plot:
    """A figure of the page: its SVG, and in words for those who do not see it."""

    name: str
    title: str
    alt: str
    svg: str

    def alone(self) -> str:
        """The SVG with colors of its own, for where there is no page around it."""
        text = self.svg
        for variable, color in COLORS.values():
            text = text.replace(f"var(--{variable})", color)
        return text.replace('style="', 'style="background:#ffffff;', 1)


def small_panels(panels: int, columns: int) -> tuple[Figure, list[Axes]]:
    """So many small panels that share their axes."""
    columns = min(columns, panels)
    lines = -(-panels // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(4.8, 2.4 * columns + 0.4), 1.75 * lines + 0.5), layout="constrained")
        axes = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
    for unused in axes[panels:]:
        unused.set_visible(False)
    return figure, axes[:panels]


def legend(figure: Figure, example: Axes, below: str, columns: int) -> None:
    """What all panels have in common, written once."""
    with matplotlib.rc_context(STYLE):
        figure.supxlabel(below, fontsize=9)
        figure.supylabel("error, %", fontsize=9)
        figure.legend(*example.get_legend_handles_labels(), loc="outside upper right", ncols=columns)


def one_panel(rows: int) -> tuple[Figure, Axes]:
    """One panel as high as so many rows need."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.27 * rows + 0.9), layout="constrained")
        return figure, figure.subplots()


def plot(name: str, title: str, figure: Figure, alt: str) -> Plot:
    """The figure as SVG without date, size or anything else that changes between two calls."""
    out = io.StringIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\n?", "", text, flags=re.DOTALL)
    text = re.sub(
        r' width="[\d.]+pt" height="[\d.]+pt"|(?<=<svg) height="[\d.]+pt"| width="[\d.]+pt"', "", text, count=2
    )
    text = re.sub(r' id="(?!m|p|C)[a-zA-Z]+_[\d_]+"', "", text)  # names of groups repeat from figure to figure
    for drawn, (variable, _) in COLORS.items():
        text = text.replace(drawn, f"var(--{variable})")
    size = f'style="max-width:{REM_AN_INCH * figure.get_figwidth():.1f}rem"'  # letters are as large in every figure
    return Plot(name, title, alt, text.replace("<svg ", f'<svg {size} role="img" aria-label="{title}. {alt}" ', 1))
