"""A whole measurement: taken, put into the store under bench/<time>/, and worded for people."""

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

WIDTHS = {"1/4": 4, "1": 1}  # of the paper's: what they are divided by
PACKS = (1, 2, 4)  # experiments side by side on a GPU


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    work: dict[str, Workload]  # by width
    networks: dict[str, tuple[str, ...]]  # that are measured, by width
    images: tuple[int, ...]  # of the epochs that show how the cost grows
    zca: int  # images
    fleet: bool  # a real one, on Ray
    rate_seconds: float
    maps: int  # of saliency, beside captum's
    packed: tuple[str, ...] = tuple(TWELVE)  # on a GPU: networks that are trained alone, side by side, and tuned


THREE = ("strided-cnn-a", "model-b", "all-cnn-c")  # a light, a middling and a heavy one
EVERY = dict.fromkeys(WIDTHS, tuple(TWELVE))
QUICK = Plan(
    {"1/4": Workload(128, 1, 2), "1": Workload(128, 1, 1)}, EVERY | {"1": THREE}, (256, 512, 1024), 1000, False, 0.5, 16
)
FULL = Plan({"1/4": Workload(128, 4, 5), "1": Workload(128, 1, 3)}, EVERY, (1024, 4096, 16384), 50_000, True, 2.0, 64)
ON_A_GPU = Plan(
    dict.fromkeys(WIDTHS, Workload(128, 120, 3, 16384)), EVERY, (4096, 16384, 65536), 50_000, False, 2.0, 512
)
# a borrowed GPU is not there to wait for a CPU: whitening and maps are left out
QUICK_ON_A_GPU = replace(
    ON_A_GPU,
    work=dict.fromkeys(WIDTHS, Workload(128, 60, 2, 8192)),
    networks=EVERY | {"1/4": THREE},
    zca=0,
    maps=0,
    packed=THREE,
)


def measure(store: Store, quick: bool, say: Callable[[str], None]) -> dict:
    """Measure, keep it in the store, and return what bench.json holds; `say` hears of each line as it comes."""
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
        say("a fleet on Ray: one run alone, then one on every core")
        found["fleet"] = concurrency.fleet(cores())
    found["provenance"] = provenance(device, "", None, "").plain()
    found["unrun"] = [] if device == "cuda" else [f"{where}: {what}" for where, what in UNTESTED]
    return found | {"address": _keep(store, found)}


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
        f"matrix products: {rates['float32'] / 1e9:,.0f} GFLOP/s in float32, {rates['bfloat16'] / 1e9:,.0f} in bfloat16"
    )
    table: list[Cost] = []
    for width, by in WIDTHS.items():
        say(HEAD.format(width))
        for name in plan.networks[width]:
            thin = narrow(TWELVE[name], by) if by > 1 else TWELVE[name]
            pair = compare(slow, fast, thin, width, plan.work[width], rates["bfloat16"])
            table += pair
            say(_line(pair[1]))
        say(f"all {len(plan.networks[width])} of them: {_ratio(table, width):.2f} times the plain loop")
    beside = _on_a_gpu(plan, fast, rates["bfloat16"], say) if device == "cuda" else []
    quarter = [cost for cost in table if cost.path == "fast" and cost.width == "1/4"]
    points = scaling.networks(quarter) + scaling.images(fast, plan.images) + scaling.width(fast, plan.work["1"])
    crowded: dict = {}
    if others:
        points += scaling.workers([fast, *others], plan.work["1/4"])
        crowded = concurrency.concurrency([fast, *others], narrow(TWELVE["all-cnn-c"], 4), plan.work["1/4"])
        say(f"{cores()} processes at once: {crowded['efficiency_by_cpu_time']:.2f} of as many alone, by CPU time")
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


def _on_a_gpu(plan: Plan, fast: BenchProcess, rate: float, say: Callable[[str], None]) -> list[Cost]:
    """What can pay on a GPU alone: several networks at once; and the plain loop with all cores to load its images."""
    out, tuned = [], BenchProcess("tuned", "cuda")
    try:
        for name in plan.packed:
            network = TWELVE[name]
            out.append(alone(tuned, [network], "1", plan.work["1"], rate))
            say(f"tuned {_line(out[-1])}")
            for together in PACKS:
                out.append(alone(fast, [network] * together, "1", plan.work["1"], rate))
                say(f"{together} of  {_line(out[-1])}")
    finally:
        tuned.close()
    return out


def _ratio(table: list[Cost], width: str) -> float:
    """Of the time that one image takes through all networks."""
    plain, fast = (
        sum(1 / cost.images_per_second for cost in table if cost.path == path and cost.width == width)
        for path in ("plain", "fast")
    )
    return plain / fast


HEAD = "width {}: network, mode, images/s (slowest, fastest), of the matrix rate, times the plain loop (least)"


def _line(cost: Cost) -> str:
    ratio = f"{cost.ratio:.2f} ({cost.least_ratio:.2f})" if cost.ratio else ""
    speeds = f"{cost.images_per_second:,.0f} ({cost.slowest:,.0f}, {cost.fastest:,.0f})"
    return f"{cost.network:16} {cost.mode:9} {speeds:>26} {cost.share_of_matrix_rate:6.0%} {ratio}"


def _keep(store: Store, found: dict) -> str:
    folder = f"bench/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    store.write_json(f"{folder}/bench.json", found)
    for name in ("steps", "growth"):
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(found[name]), out)
        store.write(f"{folder}/{name}.parquet", out.getvalue())
    try:
        points = [scaling.Point(**point) for point in found["growth"]]
        store.write(f"{folder}/growth.png", scaling.picture(points))
    except ImportError:  # no matplotlib: the numbers are there all the same
        pass
    return store.url_of(folder)
