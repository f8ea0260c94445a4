"""What a fleet asks of its store: requests a run, how busy its workers are, and what one look costs; nothing is
trained, and no store is used."""

import logging
import re
import time

from pipeline.bench.simulated_fleet import EPOCHS, RUN_SECONDS, SPREAD, Simulation
from pipeline.errors import UserError

READS_A_SECOND, OTHERS_A_SECOND = 5500, 3500  # that Amazon grants below one prefix, GET and HEAD, and all others


def size(text: str) -> tuple[int, int]:
    """1000x10000: workers and runs; UserError for anything else."""
    if not (found := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,5})", text)):
        raise UserError(f"--requests wants workers and runs, 1000x10000, not {text!r}")
    return int(found[1]), int(found[2])


def measure(workers: int, runs: int, throttled: bool = False, latency: float = 0.03) -> dict:
    """A fleet simulated to its end, as `strive bench --requests --json` prints it; `throttled`: beyond Amazon's limits
    the store answers 503. Times are of the virtual clock, but for `wall_seconds`."""
    began = time.perf_counter()
    simulation = Simulation(workers, runs, latency)
    if throttled:
        simulation.limit(READS_A_SECOND, OTHERS_A_SECOND)
        logging.getLogger("pipeline").setLevel(logging.ERROR)  # a thousand outages have nothing to say
    seconds = simulation.run()
    sent, seen = simulation.backend.requests, simulation.seen
    refused = sent.pop("503", 0)
    return {
        "workers": workers,
        "runs": runs,
        "run_seconds": RUN_SECONDS,
        "latency_seconds": latency,
        "throttled": throttled,
        "requests": sent.total(),
        "by_kind": dict(sent),
        "refused": refused,
        "requests_a_run": sent.total() / runs,
        "busy": simulation.busy(),
        "all_at_work_seconds": max(seen.at_work.values()) if len(seen.at_work) == workers else None,
        "most_of_a_look": max(seen.looks),
        "looks": len(seen.looks),
        "seconds": seconds,
        "later_attempts": simulation.later_attempts(),
        "wall_seconds": time.perf_counter() - began,
    }


def lines(found: dict) -> list[str]:
    """The same for people."""
    kinds = ", ".join(f"{count / found['runs']:.1f} {kind}" for kind, count in sorted(found["by_kind"].items()))
    at_work = found["all_at_work_seconds"]
    low, high = RUN_SECONDS * (1 - SPREAD), RUN_SECONDS * (1 + SPREAD)
    limits = ", 503 beyond what Amazon grants" if found["throttled"] else ""
    return [
        f"{found['workers']:,} workers, {found['runs']:,} runs of {low:.0f} to {high:.0f} s in {EPOCHS} epochs, "
        f"{1000 * found['latency_seconds']:.0f} ms a request{limits}",
        f"{found['requests_a_run']:.1f} requests a run ({kinds}), {found['requests']:,} in all, "
        f"{found['refused']:,} of them refused",
        f"{found['busy']:.1%} busy until no run was left to begin; all done after {found['seconds']:,.0f} s",
        f"all at work after {at_work:.1f} s" if at_work is not None else "some workers found no run",
        f"{found['later_attempts']} attempts after the first; of {found['looks']:,} looks at all runs none took more "
        f"than {found['most_of_a_look']} requests",
        f"simulated in {found['wall_seconds']:.0f} s",
    ]
