"""How the cost grows: with networks, images, width and workers."""

import io
from dataclasses import dataclass, replace

from pipeline.paper.networks import TWELVE, narrow
from pipeline.runs.bench.side import Side
from pipeline.runs.bench.steps import Cost
from pipeline.runs.bench.work import Work

AXES = {
    "networks": "networks of Table 3, quarter width: ms for one image through all of them",
    "images": "images an epoch, All-CNN-C at a twelfth: s an epoch",
    "width": "of the paper's, All-CNN-C: ms an image",
    "workers": "processes, All-CNN-C at a quarter: images/s of CPU time, all together",
}
WIDTHS = (12, 6, 4, 2, 1)  # the paper's divided by


@dataclass(frozen=True)
class Point:
    """One measurement on one axis of AXES."""

    axis: str
    at: float
    cost: float


def networks(costs: list[Cost]) -> list[Point]:
    """From the costs of every network at one width, cheapest first."""
    seconds = sorted(1 / cost.images_per_second for cost in costs)
    return [Point("networks", count, 1e3 * sum(seconds[:count])) for count in range(1, len(seconds) + 1)]


def images(side: Side, counts: tuple[int, ...]) -> list[Point]:
    """Whole epochs, drawing included."""
    thin, out = narrow(TWELVE["all-cnn-c"], 12), []
    for count in counts:
        side.prepare([thin], Work(batch=128, steps=count // 128, repeats=1, images=count))
        out.append(Point("images", count, side.run().work * count))
    return out


def width(side: Side, work: Work) -> list[Point]:
    """One network, narrower and narrower."""
    whole, out = TWELVE["all-cnn-c"], []
    for by in WIDTHS:
        side.prepare([narrow(whole, by) if by > 1 else whole], replace(work, steps=max(1, work.steps // (1 + 2 // by))))
        out.append(Point("width", 1 / by, 1e3 * side.run().work))
    return out


def workers(sides: list[Side], work: Work) -> list[Point]:
    """One process, two, and so on to all."""
    thin, out = narrow(TWELVE["all-cnn-c"], 4), []
    for side in sides:
        side.prepare([thin], work)
    for count in range(1, len(sides) + 1):
        for side in sides[:count]:
            side.start()
        out.append(Point("workers", count, sum(1 / side.finish().work for side in sides[:count])))
    return out


def picture(points: list[Point]) -> bytes:
    """A panel for each axis, PNG."""
    from matplotlib.figure import Figure  # a GPU host may lack it, and needs no picture to measure

    figure = Figure(figsize=(10, 7), layout="constrained")
    for panel, (axis, words) in zip(figure.subplots(2, 2).flat, AXES.items(), strict=True):
        mine = [point for point in points if point.axis == axis]
        panel.plot([point.at for point in mine], [point.cost for point in mine], "o-")
        panel.set_title(words, fontsize=9)
        panel.set_xlabel(axis)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
