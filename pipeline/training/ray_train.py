"""The fleet on Ray Train, imported here alone: workers acquire leases on experiments until all have results."""

import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from uuid import uuid4

from pipeline.runtime.ray_cluster import Placement  # before Ray: it sets what Ray reads when it is imported

# isort: split
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback, get_context
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import flops
from pipeline.store.objects import RunFolder, Store, open_store
from pipeline.training import leases

POLL_SECONDS = 1.0
LARGE = 10**17  # floating-point operations from which all workers train a run together: Tables 5 and 6


def fleet(experiments: list[Experiment], store_url: str, placement: Placement) -> None:
    """Train `experiments` on the cluster until each has a result; UserError where one has none at the end."""
    large = [e for e in experiments if placement.workers > 1 and flops(e) >= LARGE]
    for experiment in large:
        train_together(experiment, store_url, placement)
    rest = [e for e in experiments if e not in large]
    if not rest:
        return
    name = f"fleet-{uuid4().hex[:12]}"
    with TemporaryDirectory(prefix="strive-ray-") as notes:
        DataParallelTrainer(
            _worker(name, rest, store_url, placement.together),
            scaling_config=_scaling(placement),
            run_config=_run_config(name, rest, store_url, notes),
        ).fit()
    _insist_on_results(rest, store_url)


def train_together(experiment: Experiment, store_url: str, placement: Placement) -> None:
    """Train one experiment on all workers at once, each computing its share of every batch, until it has its result."""
    from ray.train.torch import TorchTrainer  # torch and seconds: a fleet of small experiments needs neither here

    name = f"fleet-{uuid4().hex[:12]}"
    with TemporaryDirectory(prefix="strive-ray-") as notes:
        TorchTrainer(
            _group_worker(name, experiment, store_url),
            scaling_config=_scaling(placement),
            run_config=_run_config(name, [experiment], store_url, notes),
        ).fit()
    _insist_on_results([experiment], store_url)


def _scaling(placement: Placement) -> ScalingConfig:
    return ScalingConfig(
        num_workers=placement.workers,
        use_gpu=placement.gpus_per_worker > 0,
        resources_per_worker=_resources(placement),
    )


def _run_config(name: str, experiments: list[Experiment], store_url: str, notes: str) -> RunConfig:
    """`notes` is a folder for Ray's own notes, on this host: its workers report nothing through Ray, and what it notes
    in a store would fail with it."""
    return RunConfig(
        name=name,
        storage_path=notes,
        # a run crashes after MAX_FAILURES dead workers: more restarts than these for every run are of no use
        failure_config=FailureConfig(max_failures=leases.MAX_FAILURES * len(experiments) + leases.MAX_FAILURES),
        callbacks=[RecordWorkerDeath(name, experiments, store_url)],
    )


def _insist_on_results(experiments: list[Experiment], store_url: str) -> None:
    """UserError with the reason where an experiment has no result, for it is none of the run's own."""
    store = open_store(store_url)
    for experiment in experiments:
        run = RunFolder(experiment.id)
        if not store.exists(run.result):
            raise UserError(f"{experiment.id} has no result: {leases.failure_reason(store, run)}")


def _group_worker(fleet: str, experiment: Experiment, store_url: str) -> Callable[[], None]:
    """The work of one worker of a group: the first has the lease and writes, the others compute their shares."""

    def work() -> None:
        from pipeline.numerics.process_group import ProcessGroup
        from pipeline.training import job
        from pipeline.training.device import device

        context, store = get_context(), open_store(store_url)
        workers = ProcessGroup(context.get_world_rank(), context.get_world_size())
        acquired = _wait_for_lease(fleet, experiment, store) if workers.rank == 0 else []
        if not workers.broadcast_int(len(acquired), device()):
            return  # it has its result
        if acquired:
            job.run(acquired, store, workers=workers)
        else:
            job.join(experiment, store, workers)

    return work


def _wait_for_lease(fleet: str, experiment: Experiment, store: Store) -> list[leases.Lease]:
    """The lease on the experiment, once no other process trains it; an empty list when it has its result."""
    owner, observer = leases.this_process(fleet=fleet, rank=0), leases.LeaseObserver(store)
    while True:
        acquired, all_done = leases.acquire(store, [experiment], 1, owner, observer)
        if acquired or all_done:
            return acquired
        time.sleep(POLL_SECONDS)


def _worker(fleet: str, experiments: list[Experiment], store_url: str, together: int) -> Callable[[], None]:
    def work() -> None:
        from pipeline.training import job  # torch: only workers need it

        store = open_store(store_url)
        owner = leases.this_process(fleet=fleet, rank=get_context().get_world_rank())
        observer = leases.LeaseObserver(store)
        all_done = False
        while not all_done:
            acquired, all_done = leases.acquire(store, experiments, together, owner, observer)
            if acquired:
                try:
                    job.run(acquired, store)
                except leases.NO_FAULTS:
                    return  # of the store, the machine or the data: other experiments would fail in the same way
                except Exception:
                    # the lease has recorded why; the fleet goes on with the other experiments
                    continue
            elif not all_done:
                time.sleep(POLL_SECONDS)

    return work


class RecordWorkerDeath(UserCallback):
    """Records of which run a worker died, before Ray starts its group again."""

    def __init__(self, fleet: str, experiments: list[Experiment], store_url: str):
        self.fleet, self.experiments, self.store_url = fleet, experiments, store_url

    def after_exception(self, run_context, worker_exceptions) -> None:
        store = open_store(self.store_url)
        for rank, error in worker_exceptions.items():
            if not _preempted(error):
                leases.record_worker_death(store, self.experiments, self.fleet, rank, _cause(error))


def _preempted(error: Exception) -> bool:
    """Whether the machine was taken away: not the run's fault."""
    return bool(getattr(getattr(error, "health_check_failure", error), "preempted", False))


def _cause(error: Exception) -> str:
    """The sentence of Ray's long message that says what happened."""
    page = " ".join(str(error).split())
    return page[max(page.find("The actor is dead because"), 0) :][:300]


def _resources(placement: Placement) -> dict[str, float]:
    gpus = {"GPU": placement.gpus_per_worker} if placement.gpus_per_worker else {}
    return {"CPU": placement.cpus_per_worker, **gpus}
