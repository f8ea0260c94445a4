"""The requests that a fleet sends to its store, and how much of their time its workers train.

The fleet and its store are simulated (simulated_fleet.py): nothing is trained, and no real store is used.
"""

import logging
import re
import time

from pipeline.bench.simulated_fleet import EPOCHS, RUN_SECONDS, SPREAD, Simulation
from pipeline.errors import UserError

READS_A_SECOND, OTHERS_A_SECOND = 5500, 3500  # Amazon S3's limits per prefix: of GET and HEAD, and of all others


def size(text: str) -> tuple[int, int]:
    """(workers, runs) from a text such as "1000x10000"; UserError for anything else."""
    if not (found := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,5})", text)):
        raise UserError(f"--requests wants workers and runs, 1000x10000, not {text!r}")
    return int(found[1]), int(found[2])


def measure(workers: int, runs: int, throttled: bool = False, latency: float = 0.03) -> dict:
    """Simulate a fleet until all runs are finished; returns what `strive bench --requests --json` prints.

    If `throttled`, the store refuses requests beyond Amazon's limits; `latency` is a request's mean time in seconds.
    Times in the result are seconds of the virtual clock, except `wall_seconds`.
    """
    began = time.perf_counter()
    simulation = Simulation(workers, runs, latency)
    if throttled:
        simulation.limit(READS_A_SECOND, OTHERS_A_SECOND)
        logging.getLogger("pipeline").setLevel(logging.ERROR)  # not a message for each of a thousand outages
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
    """The result of `measure` in sentences."""
    kinds = ", ".join(f"{count / found['runs']:.1f} {kind}" for kind, count in sorted(found["by_kind"].items()))
    at_work = found["all_at_work_seconds"]
    low, high = RUN_SECONDS * (1 - SPREAD), RUN_SECONDS * (1 + SPREAD)
    limits = ", requests beyond Amazon S3's limits refused" if found["throttled"] else ""
    return [
        f"{found['workers']:,} workers, {found['runs']:,} runs of {low:.0f} to {high:.0f} s in {EPOCHS} epochs, "
        f"{1000 * found['latency_seconds']:.0f} ms per request{limits}",
        f"{found['requests_a_run']:.1f} requests per run ({kinds}), {found['requests']:,} in total, "
        f"{found['refused']:,} of them refused",
        f"workers trained {found['busy']:.1%} of the time until the last run began; all runs were finished after "
        f"{found['seconds']:,.0f} s",
        f"all workers were training after {at_work:.1f} s" if at_work is not None else "some workers got no run",
        f"{found['later_attempts']} repeated attempts; the states of all runs were read {found['looks']:,} times, with "
        f"at most {found['most_of_a_look']} requests each time",
        f"the simulation took {found['wall_seconds']:.0f} s",
    ]
