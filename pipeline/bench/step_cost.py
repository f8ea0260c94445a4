"""The cost of a training step, in our fast loop and in the plain loop, measured in turns.

Taking turns lets changes of the machine's speed affect both equally.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from pipeline.bench.clock import now
from pipeline.bench.worker import BenchProcess
from pipeline.bench.workload import Fast, Workload
from pipeline.numerics.fast.precision import Mode
from pipeline.paper.networks import Network
from pipeline.paper.shapes import training_flops


@dataclass(frozen=True)
class Cost:
    """The speed of one loop with one network, or with several side by side, over several repeats.

    Seconds are seconds of work (clock.py). Images and FLOP are those of all networks together.
    """

    network: str
    width: str  # share of the paper's width
    path: str  # fast, plain or tuned (BenchProcess)
    mode: str
    together: int  # networks side by side
    batch: int  # images per step and network
    images_per_second: float  # median
    slowest: float  # images per second of the slowest repeat
    fastest: float
    us_per_step: float  # microseconds, median
    flops_per_second: float  # median
    share_of_matrix_rate: float  # flops_per_second, divided by the FLOP per second of matrix products
    time_over_floor: float  # its inverse: time, divided by what the FLOP would take at the matrix rate
    ratio: float | None = None  # speed divided by the plain loop's: median over the pairs of repeats
    least_ratio: float | None = None  # the lowest


def compare(
    slow: BenchProcess,
    fast: BenchProcess,
    network: Network,
    width: str,
    work: Workload,
    rates: Mapping[str, float],
    mode: Mode | None = None,
):
    """Measure the plain loop (`slow`) and the fast loop in turns: (cost of the plain loop, cost of the fast loop).

    `rates` are those of matrix products in each precision, in FLOP per second of work.
    """
    modes = [process.prepare([network], work, mode) for process in (slow, fast)]
    pairs = [(slow.run().work, fast.run().work) for _ in range(work.repeats)]
    ratios = [one / other for one, other in pairs]
    plain_cost, fast_cost = (
        cost([network], width, path, mode_used, work, [pair[number] for pair in pairs], rates)
        for number, (path, mode_used) in enumerate(zip(("plain", "fast"), modes, strict=True))
    )
    return plain_cost, replace(fast_cost, ratio=median(ratios), least_ratio=min(ratios))


def alone(
    process: BenchProcess, networks: list[Network], width: str, work: Workload, rates: Mapping[str, float]
) -> Cost:
    """Measure one process by itself, with one network or with several side by side."""
    mode = process.prepare(networks, work)
    return cost(networks, width, process.path, mode, work, [process.run().work for _ in range(work.repeats)], rates)


def cost(
    networks: list[Network],
    width: str,
    path: str,
    mode: str,
    work: Workload,
    seconds: list[float],
    rates: Mapping[str, float],
) -> Cost:
    """The cost from the seconds of work, in each repeat, for one image through all networks.

    `mode` begins with the precision whose rate of matrix products the speed is compared with.
    """
    rate = rates[mode.split()[0]]
    middle, flops = median(seconds), sum(training_flops(network) for network in networks)
    together = len(networks)
    return Cost(
        " ".join(dict.fromkeys(network.name for network in networks)), width, path, mode, together, work.batch,
        images_per_second=together / middle, slowest=together / max(seconds), fastest=together / min(seconds),
        us_per_step=middle * work.batch * 1e6, flops_per_second=flops / middle,
        share_of_matrix_rate=flops / middle / rate, time_over_floor=middle * rate / flops,
    )  # fmt: skip


def data_share(network: Network, work: Workload, device: str) -> float:
    """The share of an epoch's time in the fast loop that goes into drawing, shifting and mirroring its images."""
    fast = Fast([network], work, device)
    [trainer] = fast.trainers

    def only_data() -> None:
        trainer.begin_epoch()
        for chunk in trainer.chunks(fast.stepper.most):
            trainer.batch_at(chunk.positions())

    only_data()
    fast.step()
    began = now(device)
    only_data()
    data, began = (now(device) - began) / trainer.images, now(device)
    taken = sum(fast.step() for _ in range(work.steps))
    return data / ((now(device) - began) / taken)
