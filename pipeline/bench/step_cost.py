"""What a step costs: the fast path beside the plain loop, in turns, so that a machine's moods meet both."""

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
    """What one path takes for one network; of several repeats."""

    network: str
    width: str  # of the paper's
    path: str  # fast or plain
    mode: str
    together: int  # networks side by side
    batch: int
    images_per_second: float  # median
    slowest: float
    fastest: float
    us_per_step: float
    flops_per_second: float
    share_of_matrix_rate: float
    time_over_floor: float
    ratio: float | None = None  # to the plain loop: median over the pairs
    least_ratio: float | None = None


def compare(
    slow: BenchProcess,
    fast: BenchProcess,
    network: Network,
    width: str,
    work: Workload,
    rate: float,
    mode: Mode | None = None,
):
    """The plain loop and the fast path, pair after pair: (cost, cost)."""
    modes = [process.prepare([network], work, mode) for process in (slow, fast)]
    pairs = [(slow.run().work, fast.run().work) for _ in range(work.repeats)]
    ratios = [one / other for one, other in pairs]
    plain_cost, fast_cost = (
        cost([network], width, path, said, work, [pair[number] for pair in pairs], rate)
        for number, (path, said) in enumerate(zip(("plain", "fast"), modes, strict=True))
    )
    return plain_cost, replace(fast_cost, ratio=median(ratios), least_ratio=min(ratios))


def alone(process: BenchProcess, networks: list[Network], width: str, work: Workload, rate: float) -> Cost:
    """One path, of one network or of several side by side; images and operations are those of all of them."""
    mode = process.prepare(networks, work)
    return cost(networks, width, process.path, mode, work, [process.run().work for _ in range(work.repeats)], rate)


def cost(
    networks: list[Network], width: str, path: str, mode: str, work: Workload, seconds: list[float], rate: float
) -> Cost:
    """From the seconds that an image took in every repeat, all networks together."""
    middle, flops = median(seconds), sum(training_flops(network) for network in networks)
    together = len(networks)
    return Cost(
        " ".join(dict.fromkeys(network.name for network in networks)), width, path, mode, together, work.batch,
        images_per_second=together / middle, slowest=together / max(seconds), fastest=together / min(seconds),
        us_per_step=middle * work.batch * 1e6, flops_per_second=flops / middle,
        share_of_matrix_rate=flops / middle / rate, time_over_floor=middle * rate / flops,
    )  # fmt: skip


def data_share(network: Network, work: Workload, device: str) -> float:
    """The part of an epoch that goes into drawing, cutting and mirroring its images."""
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
