"""The whole benchmark: measures, prints a line for each result, and saves all of them in the store as bench/<time>/."""

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import pyarrow
import pyarrow.parquet
import torch

from pipeline.bench import concurrency, overheads, saliency, scaling
from pipeline.bench.step_cost import Cost, alone, compare, data_share
from pipeline.bench.untested_on_gpu import UNTESTED
from pipeline.bench.worker import BenchProcess
from pipeline.bench.workload import Workload
from pipeline.numerics.fast.precision import bfloat16_gain
from pipeline.paper.networks import TWELVE, Network, narrow
from pipeline.runtime.allocator import keep_freed
from pipeline.runtime.limits import cores
from pipeline.runtime.provenance import provenance
from pipeline.store.objects import Store

WIDTHS = {"1/4": 4, "1": 1}  # share of the paper's width, and the divisor that gives it
PACKS = (1, 2, 4)  # numbers of experiments trained side by side on a GPU


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long."""

    work: dict[str, Workload]  # by width, a key of WIDTHS
    networks: dict[str, tuple[str, ...]]  # names of the networks to measure, by width
    images: tuple[int, ...]  # images per epoch, for the cost of an epoch
    zca: int  # images that the whitening is fitted to; 0: not measured
    fleet: bool  # whether a fleet on Ray is measured
    rate_seconds: float  # for the speed of matrix products, in each precision
    maps: int  # saliency maps to compare with captum's; 0: not measured
    packed: tuple[str, ...] = tuple(TWELVE)  # networks that a GPU trains as each of PACKS and in the tuned plain loop


THREE = ("strided-cnn-a", "model-b", "all-cnn-c")  # a cheap, a medium and an expensive one
EVERY = dict.fromkeys(WIDTHS, tuple(TWELVE))
QUICK = Plan(
    {"1/4": Workload(128, 1, 2), "1": Workload(128, 1, 1)}, EVERY | {"1": THREE}, (256, 512, 1024), 1000, False, 0.5, 16
)
FULL = Plan({"1/4": Workload(128, 4, 5), "1": Workload(128, 1, 3)}, EVERY, (1024, 4096, 16384), 50_000, True, 2.0, 64)
ON_A_GPU = Plan(
    dict.fromkeys(WIDTHS, Workload(128, 120, 3, 16384)), EVERY, (4096, 16384, 65536), 50_000, False, 2.0, 512
)
# time on a borrowed GPU is short: whitening and maps, which use the CPU, are left out
QUICK_ON_A_GPU = replace(
    ON_A_GPU,
    work=dict.fromkeys(WIDTHS, Workload(128, 60, 2, 8192)),
    networks=EVERY | {"1/4": THREE},
    zca=0,
    maps=0,
    packed=THREE,
)


def measure(store: Store, quick: bool, say: Callable[[str], None]) -> dict:
    """Run the benchmark, save it in the store, and return the content of bench.json with its `address`.

    `quick` measures less. `say` gets each line of the report as soon as it is known. RuntimeError if a process that
    trains fails.
    """
    torch.set_num_threads(1)
    keep_freed()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    plan = {"cpu": (FULL, QUICK), "cuda": (ON_A_GPU, QUICK_ON_A_GPU)}[device][quick]
    slow, fast = BenchProcess("plain", device), BenchProcess("fast", device)
    others = [BenchProcess("fast", device) for _ in range(cores() - 1)] if device == "cpu" else []
    try:
        found = _measured(plan, slow, fast, others, device, store, say)
    finally:
        for process in (slow, fast, *others):
            process.close()
    if plan.fleet:
        say("measuring a fleet on Ray: first one run alone, then one run per core")
        found["fleet"] = concurrency.fleet(cores())
    found["provenance"] = provenance(device, "", None, "").plain()
    found["unrun"] = [] if device == "cuda" else [f"{where}: {what}" for where, what in UNTESTED]
    return found | {"address": _save(store, found)}


def _measured(
    plan: Plan,
    slow: BenchProcess,
    fast: BenchProcess,
    others: list[BenchProcess],
    device: str,
    store: Store,
    say: Callable[[str], None],
) -> dict:
    rates = {precision: fast.matrix_rate(precision, plan.rate_seconds) for precision in ("float32", "bfloat16")}
    say(
        f"matrix rate (speed of matrix products): {rates['float32'] / 1e9:,.0f} GFLOP/s in float32, "
        f"{rates['bfloat16'] / 1e9:,.0f} GFLOP/s in bfloat16"
    )
    table: list[Cost] = []
    for width, by in WIDTHS.items():
        say(HEAD.format(width, "second" if device == "cuda" else "CPU-second"))
        for name in plan.networks[width]:
            thin = narrow(TWELVE[name], by) if by > 1 else TWELVE[name]
            pair = compare(slow, fast, thin, width, plan.work[width], rates)
            table += pair
            say(_line(pair[1]))
        say(f"all {len(plan.networks[width])} networks: {_ratio(table, width):.2f} times as fast as the plain loop")
    beside = _on_a_gpu(plan, fast, rates, say) if device == "cuda" else []
    quarter = [cost for cost in table if cost.path == "fast" and cost.width == "1/4"]
    points = scaling.networks(quarter) + scaling.images(fast, plan.images) + scaling.width(fast, plan.work["1"])
    crowded: dict = {}
    if others:
        points += scaling.workers([fast, *others], plan.work["1/4"])
        crowded = concurrency.concurrency([fast, *others], narrow(TWELVE["all-cnn-c"], 4), plan.work["1/4"])
        say(f"{cores()} processes at once: each has {crowded['efficiency_by_cpu_time']:.2f} of the speed of one alone")
    whole: Network = TWELVE["all-cnn-c"]
    few = replace(plan.work["1"], images=4 * plan.work["1"].batch)
    return {
        "device": device,
        "matrix_rate": rates,
        "bfloat16_gain": bfloat16_gain() if device == "cpu" else None,
        "ratio": {width: _ratio(table, width) for width in WIDTHS},
        "data_share": data_share(whole, few, device),
        "around": overheads.around(whole, few, device, store),
        "imports": overheads.imports(),
        "zca": overheads.zca(plan.zca, device) if plan.zca else None,
        "maps": saliency.beside_captum(plan.maps, say) if plan.maps else None,
        "memory": overheads.peak_memory(device),
        "crowd": crowded,
        "steps": [asdict(cost) for cost in table + beside],
        "growth": [asdict(point) for point in points],
    }


def _on_a_gpu(plan: Plan, fast: BenchProcess, rates: dict[str, float], say: Callable[[str], None]) -> list[Cost]:
    """Measurements for a GPU alone: several networks side by side, and the plain loop with a loader on every core."""
    out, tuned = [], BenchProcess("tuned", "cuda")
    try:
        for name in plan.packed:
            network = TWELVE[name]
            out.append(alone(tuned, [network], "1", plan.work["1"], rates))
            say(f"plain loop, tuned   {_line(out[-1])}")
            for together in PACKS:
                out.append(alone(fast, [network] * together, "1", plan.work["1"], rates))
                say(f"{together} side by side      {_line(out[-1])}")
    finally:
        tuned.close()
    return out


def _ratio(table: list[Cost], width: str) -> float:
    """The plain loop's time for one image through all networks of a width, divided by the fast loop's."""
    plain, fast = (
        sum(1 / cost.images_per_second for cost in table if cost.path == path and cost.width == width)
        for path in ("plain", "fast")
    )
    return plain / fast


HEAD = (
    "\nWidth {} (share of the paper's). Columns: network; mode; images per {}, median (slowest, fastest); "
    "share of the matrix rate in the mode's precision; times as fast as the plain loop, median (lowest)"
)


def _line(cost: Cost) -> str:
    ratio = f"{cost.ratio:.2f} ({cost.least_ratio:.2f})" if cost.ratio else ""
    speeds = f"{cost.images_per_second:,.0f} ({cost.slowest:,.0f}, {cost.fastest:,.0f})"
    return f"{cost.network:16} {cost.mode:9} {speeds:>26} {cost.share_of_matrix_rate:6.0%} {ratio}"


def _save(store: Store, found: dict) -> str:
    folder = f"bench/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    store.write_json(f"{folder}/bench.json", found)
    for name in ("steps", "growth"):
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(found[name]), out)
        store.write(f"{folder}/{name}.parquet", out.getvalue())
    try:
        points = [scaling.Point(**point) for point in found["growth"]]
        store.write(f"{folder}/growth.png", scaling.picture(points))
    except ImportError:  # without matplotlib the numbers are saved, but no picture
        pass
    return store.url_of(folder)
