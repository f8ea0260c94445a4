"""How the cost of training grows with the number of networks, images and processes and with the width of a network."""

import io
from dataclasses import dataclass, replace

from pipeline.bench.step_cost import Cost
from pipeline.bench.worker import BenchProcess
from pipeline.bench.workload import Workload
from pipeline.paper.networks import TWELVE, narrow

AXES = {  # labels of both axes of each plot; times are seconds of work (clock.py)
    "networks": (
        "networks of Table 3 at a quarter of the width, cheapest first",
        "ms per image, through all of them",
    ),
    "images": ("images per epoch, All-CNN-C at a twelfth of the width", "seconds per epoch"),
    "width": ("share of the paper's width, All-CNN-C", "ms per image"),
    "workers": ("processes, All-CNN-C at a quarter of the width", "images per CPU-second, summed over processes"),
}
WIDTHS = (12, 6, 4, 2, 1)  # divisors of the paper's width


@dataclass(frozen=True)
class Point:
    """One point of one plot."""

    axis: str  # a key of AXES
    at: float  # horizontal
    cost: float  # vertical


def networks(costs: list[Cost]) -> list[Point]:
    """The summed costs of the cheapest network, the two cheapest and so on, from all networks' costs at one width."""
    seconds = sorted(1 / cost.images_per_second for cost in costs)
    return [Point("networks", count, 1e3 * sum(seconds[:count])) for count in range(1, len(seconds) + 1)]


def images(process: BenchProcess, counts: tuple[int, ...]) -> list[Point]:
    """The cost of an epoch for each number of images, including drawing its order and augmentation."""
    thin, out = narrow(TWELVE["all-cnn-c"], 12), []
    for count in counts:
        process.prepare([thin], Workload(batch=128, steps=count // 128, repeats=1, images=count))
        out.append(Point("images", count, process.run().work * count))
    return out


def width(process: BenchProcess, work: Workload) -> list[Point]:
    """The cost of one network at each of WIDTHS."""
    whole, out = TWELVE["all-cnn-c"], []
    for by in WIDTHS:
        network = narrow(whole, by) if by > 1 else whole
        process.prepare([network], replace(work, steps=max(1, work.steps // (1 + 2 // by))))
        out.append(Point("width", 1 / by, 1e3 * process.run().work))
    return out


def workers(processes: list[BenchProcess], work: Workload) -> list[Point]:
    """The speed of one process, of two at once, and so on up to all."""
    thin, out = narrow(TWELVE["all-cnn-c"], 4), []
    for process in processes:
        process.prepare([thin], work)
    for count in range(1, len(processes) + 1):
        for process in processes[:count]:
            process.start()
        out.append(Point("workers", count, sum(1 / process.finish().work for process in processes[:count])))
    return out


def picture(points: list[Point]) -> bytes:
    """All points as a PNG image with one plot for each of AXES."""
    from matplotlib.figure import Figure  # a GPU host may lack it, and can measure without
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 7), layout="constrained")
    for panel, (axis, (counted, cost)) in zip(figure.subplots(2, 2).flat, AXES.items(), strict=True):
        mine = [point for point in points if point.axis == axis]
        panel.plot([point.at for point in mine], [point.cost for point in mine], "o-")
        panel.set_xlabel(counted)
        panel.set_ylabel(cost)
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=axis != "width"))
        panel.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
