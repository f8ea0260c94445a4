"""The fleet on Ray: workers that depend on each other in nothing acquire leases on experiments until all have results.

Large experiments are trained first, by all workers together in a process group of Ray Train's.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil
from uuid import uuid4

from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import flops
from pipeline.runtime.ray_cluster import Placement
from pipeline.runtime.ray_workers import Ended, Team
from pipeline.store import standings
from pipeline.store.objects import open_store
from pipeline.training.attempts import MAX_FAILURES, record_worker_death
from pipeline.training.run_after_run import run_after_run

Say = Callable[[str], None]
LARGE = 10**17  # floating-point operations from which all workers train a run together: Tables 5 and 6


def fleet(experiments: list[Experiment], store_url: str, placement: Placement, say: Say = lambda _text: None) -> None:
    """Train `experiments` on the cluster until each has a result; RuntimeError where one has none at the end.

    `say` is told in a sentence what workers wait for, and "" when they wait for nothing.
    """
    large = [e for e in experiments if max(placement.workers, placement.growth) > 1 and flops(e) >= LARGE]
    if large:
        from pipeline.training.ray_train import train_together  # seconds, that a fleet of small ones need not wait

        for experiment in large:
            train_together(experiment, store_url, placement)
    rest = [e for e in experiments if e not in large]
    if not rest:
        return
    name, store = f"fleet-{uuid4().hex[:12]}", open_store(store_url)
    standings.complete(store, [e.id for e in rest])
    Team(
        partial(work, name, rest, store_url, placement.together),
        replace(placement, growth=min(placement.growth, ceil(len(rest) / placement.together))),
        partial(record_worker_death, store, rest, name),
        say,
        deaths=MAX_FAILURES * (len(rest) + 1),  # a run crashes after that many, and the rest have other causes
    ).run()


def work(
    fleet: str, experiments: list[Experiment], store_url: str, together: int, rank: int, released: threading.Event
) -> Ended:
    """The work of one worker, a Ray Train worker by itself."""
    from pipeline.training.ray_train import train_alone  # seconds: only workers need it

    return train_alone(partial(run_after_run, fleet, experiments, store_url, together, rank, released))
