"""The work of one worker of a fleet: one run after the other, until all have results."""

import threading

from pipeline.plan.experiment import Experiment
from pipeline.runtime.ended import Ended
from pipeline.store.objects import open_store
from pipeline.training.attempts import NO_FAULTS
from pipeline.training.owners import LeaseObserver, Owner, this_process
from pipeline.training.queue import Queue


def run_after_run(
    fleet: str, experiments: list[Experiment], store_url: str, together: int, rank: int, released: threading.Event
) -> Ended:
    """Train until all experiments have results, or `released` is set."""
    from pipeline.training import job  # torch

    store = open_store(store_url)
    owner = this_process(fleet=fleet, rank=rank)
    queue = Queue(store, owner, LeaseObserver(store))
    while not released.is_set():
        acquired, all_done = queue.take(experiments, together)
        if acquired:
            try:
                job.run(acquired, store, released=released.is_set)
            except NO_FAULTS as error:
                # of the store, the machine or the data: other experiments would fail in the same way
                return Ended(all_done=False, why=f"{_name(owner)}: {error}")
            except Exception:  # whatever a run failed with: its lease has recorded it, and the others are trained
                continue
        elif all_done:
            return Ended(all_done=True)
        else:
            released.wait(queue.pause())
    return Ended(all_done=False, why=f"{_name(owner)} is announced to go")


def _name(owner: Owner) -> str:
    """The machine's name as people know it, without the number of its process namespace."""
    return owner.host.partition(" ")[0]
