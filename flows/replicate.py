"""Flow `replicate`: finished runs, trained again from nothing and compared with the originals."""

from prefect import flow, get_run_logger

from flows.hosted import run_name, turn
from flows.parameters import DIGITS, Seeds, StoreUrl, StudyField, Workers, opened, planned
from flows.train import train_runs
from pipeline.evaluation.replications import replica_of, settle, to_replicate
from pipeline.evaluation.results import collect
from pipeline.runtime.settings import settings
from pipeline.training.progress import Progress


@flow(name="replicate", flow_run_name=run_name, persist_result=False)
def replicate(
    study: StudyField = DIGITS,
    replicate: int = 1,
    seeds: Seeds = None,
    workers: Workers = None,
    store: StoreUrl = None,
) -> dict[str, str]:
    """Trains up to `replicate` finished runs of a study again by the code and libraries of today, the one whose turn
    was longest ago first, and records how each compares. The originals are not touched; returns comparisons by run id.
    The data must be prepared."""
    kept = opened(store)
    this = planned(study, seeds, kept)
    with turn(this.name):
        results = collect(kept, this.read)
        chosen = to_replicate(kept, this, results, replicate)
        replica = replica_of(kept, chosen)
        missing = [s.experiment for s in Progress(replica, chosen).statuses() if not s.has_outcome]
        if missing:
            train_runs(f"{this.name}-replication", missing, replica, settings(workers=workers).workers)
        found = {e.id: settle(kept, replica, this, results, e) for e in chosen}
        for id, one in found.items():
            get_run_logger().info(f"{id}: {one.comparison}: {one.why}")
        return {id: one.comparison for id, one in found.items()}
