"""The work of one worker of a fleet: one run after the other, until all have results."""

import threading
from collections.abc import Sequence

from pipeline.plan.experiment import Experiment
from pipeline.runtime.ended import Ended
from pipeline.store.objects import Store, open_store
from pipeline.training.attempts import NOT_THE_RUNS_FAULT
from pipeline.training.leases import Lease
from pipeline.training.owners import LeaseObserver, this_process
from pipeline.training.queue import Queue


def run_after_run(
    fleet: str, experiments: list[Experiment], store_url: str, together: int, rank: int, released: threading.Event
) -> Ended:
    """Train until all experiments have results, or `released` is set."""
    store = open_store(store_url)
    owner = this_process(fleet=fleet, rank=rank)
    here = owner.host.split()[0]
    queue = Queue(store, owner, LeaseObserver(store))
    while not released.is_set():
        try:
            acquired, all_done = queue.take(experiments, together)
            if acquired:
                _train(acquired, store, released)
            elif all_done:
                return Ended(all_done=True)
            else:
                released.wait(queue.pause())
        except NOT_THE_RUNS_FAULT as error:
            # of the store, the machine or the data: other experiments would fail in the same way
            return Ended(all_done=False, why=f"{here}: {error}")
    return Ended(all_done=False, why=f"{here} is announced to go")


def _train(acquired: Sequence[Lease], store: Store, released: threading.Event) -> None:
    """Train these runs; raises what is not the fault of a run."""
    from pipeline.training import job  # torch

    try:
        job.run(acquired, store, released=released.is_set)
    except NOT_THE_RUNS_FAULT:
        raise
    except Exception:  # whatever a run failed with: its lease has recorded it, and the others are trained
        pass
