"""The fleet: one Ray Train trainer a study, whose workers take what nobody holds. Ray Train is named here alone."""

import time
from collections.abc import Callable
from uuid import uuid4

from pipeline.runtime.ray_cluster import Placement  # before Ray: it sets what Ray reads when it is imported

# isort: split
from pyarrow.fs import FSSpecHandler, LocalFileSystem, PyFileSystem
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback, get_context
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import flops
from pipeline.store.objects import RunFolder, Store, open_store
from pipeline.training import leases

POLL_SECONDS = 1.0
LARGE = 10**17  # floating-point operations of a run that all workers train at once: Tables 5 and 6


def fleet(experiments: list[Experiment], store_url: str, placement: Placement) -> None:
    """Work through `experiments` on the cluster until each is done, diverged or crashed; raises when that fails."""
    large = [e for e in experiments if placement.workers > 1 and flops(e) >= LARGE]
    for experiment in large:
        train_together(experiment, store_url, placement)
    rest = [e for e in experiments if e not in large]
    if not rest:
        return
    name = f"fleet-{uuid4().hex[:12]}"
    DataParallelTrainer(
        _worker(name, rest, store_url, placement.together),
        scaling_config=_scaling(placement),
        run_config=_run_config(name, rest, store_url),
    ).fit()
    _delete_ray_state(name, rest, store_url)


def train_together(experiment: Experiment, store_url: str, placement: Placement) -> None:
    """Train one experiment on all workers at once, each on its share of every batch; returns once it has an outcome."""
    from ray.train.torch import TorchTrainer  # torch and seconds: a fleet of small experiments needs neither here

    name = f"fleet-{uuid4().hex[:12]}"
    TorchTrainer(
        _group_worker(name, experiment, store_url),
        scaling_config=_scaling(placement),
        run_config=_run_config(name, [experiment], store_url),
    ).fit()
    _delete_ray_state(name, [experiment], store_url)


def _scaling(placement: Placement) -> ScalingConfig:
    return ScalingConfig(
        num_workers=placement.workers,
        use_gpu=placement.gpus_per_worker > 0,
        resources_per_worker=_resources(placement),
    )


def _run_config(name: str, experiments: list[Experiment], store_url: str) -> RunConfig:
    folder, filesystem = _storage(store_url)
    return RunConfig(
        name=name,
        storage_path=folder,
        storage_filesystem=filesystem,
        # a run that ends its worker is out after claims.DEATHS of them; more restarts than that help nobody
        failure_config=FailureConfig(max_failures=leases.MAX_FAILURES * len(experiments) + leases.MAX_FAILURES),
        callbacks=[RecordWorkerDeath(name, experiments, store_url)],
    )


def _delete_ray_state(name: str, experiments: list[Experiment], store_url: str) -> None:
    """Drop Ray's own notes, of no use afterwards; raises where an experiment has no outcome."""
    store = open_store(store_url)
    for note in store.names(f"fleets/{name}"):
        store.delete(f"fleets/{name}/{note}")
    for experiment in experiments:
        run = RunFolder(experiment.id)
        if not store.exists(run.result):
            raise RuntimeError(f"{experiment.id} has no outcome: {leases.failure_reason(store, run)}")


def _group_worker(fleet: str, experiment: Experiment, store_url: str) -> Callable[[], None]:
    """What one worker of a group does: the first holds the claim and writes, the others take their shares."""

    def work() -> None:
        from pipeline.numerics.process_group import ProcessGroup
        from pipeline.training import job

        context, store = get_context(), open_store(store_url)
        workers = ProcessGroup(context.get_world_rank(), context.get_world_size())
        held = _wait_for_lease(fleet, experiment, store) if workers.rank == 0 else []
        if not workers.broadcast_int(len(held), job.device()):
            return  # it has its outcome
        if held:
            job.run(held, store, workers=workers)
        else:
            job.join(experiment, store, workers)

    return work


def _wait_for_lease(fleet: str, experiment: Experiment, store: Store) -> list[leases.Lease]:
    """The claim on it, once nobody else is at work on it; none when it has an outcome."""
    owner, watch = leases.this_process(fleet=fleet, rank=0), leases.LeaseObserver(store)
    while True:
        held, settled = leases.acquire(store, [experiment], 1, owner, watch)
        if held or settled:
            return held
        time.sleep(POLL_SECONDS)


def _worker(fleet: str, experiments: list[Experiment], store_url: str, together: int) -> Callable[[], None]:
    def work() -> None:
        from pipeline.training import job  # torch: only workers need it

        store = open_store(store_url)
        owner = leases.this_process(fleet=fleet, rank=get_context().get_world_rank())
        watch = leases.LeaseObserver(store)
        settled = False
        while not settled:
            held, settled = leases.acquire(store, experiments, together, owner, watch)
            if held:
                try:
                    job.run(held, store)
                except (OSError, UserError):
                    return  # of the store, the machine or the data: other experiments would fare no better
                except Exception:
                    # the claim has recorded why; the fleet goes on with the other experiments
                    continue
            elif not settled:
                time.sleep(POLL_SECONDS)

    return work


class RecordWorkerDeath(UserCallback):
    """Records which run a dead worker held, before its group is started again."""

    def __init__(self, fleet: str, experiments: list[Experiment], store_url: str):
        self.fleet, self.experiments, self.store_url = fleet, experiments, store_url

    def after_exception(self, run_context, worker_exceptions) -> None:
        store = open_store(self.store_url)
        for rank, error in worker_exceptions.items():
            if not _preempted(error):
                leases.record_worker_death(store, self.experiments, self.fleet, rank, _cause(error))


def _preempted(error: Exception) -> bool:
    """Whether the machine was taken away, which is no run's fault."""
    return bool(getattr(getattr(error, "health_check_failure", error), "preempted", False))


def _cause(error: Exception) -> str:
    """The sentence of Ray's page that says what happened."""
    page = " ".join(str(error).split())
    return page[max(page.find("The actor is dead because"), 0) :][:300]


def _resources(placement: Placement) -> dict[str, float]:
    gpus = {"GPU": placement.gpus_per_worker} if placement.gpus_per_worker else {}
    return {"CPU": placement.cpus_per_worker, **gpus}


def _storage(store_url: str):
    """Ray's own notes beside ours, through our S3 client: pyarrow's would ignore AWS_ENDPOINT_URL."""
    if store_url.startswith("s3://"):
        from pipeline.store.s3 import filesystem

        return f"{store_url.removeprefix('s3://')}/fleets", PyFileSystem(FSSpecHandler(filesystem()))
    return f"{store_url}/fleets", LocalFileSystem()
