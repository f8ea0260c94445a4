"""Ray Train, imported here alone: workers that train by themselves, and one experiment on many workers together."""

import os
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from pipeline.runtime.ray_cluster import Placement, rooms  # before Ray: it sets what Ray reads when it is imported
from pipeline.runtime.ray_workers import cause

# isort: split
import psutil
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback, get_context
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.torch.config import _TorchBackend
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util import get_node_ip_address

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.store.objects import Store, open_store
from pipeline.store.paths import RunFolder
from pipeline.training import leases
from pipeline.training.attempts import MAX_FAILURES, failure_reason, record_worker_death
from pipeline.training.owners import LeaseObserver, this_process

POLL_SECONDS = 1.0
MOST_TOGETHER = 8  # workers of an elastic group: ImageNet's order is made of as many streams


def train_alone(work: Callable[[], Any]) -> Any:
    """What `work` returns, as a Ray Train worker in this very process.

    Ray Train's local mode: none of the controller and the four other processes that a group of workers needs.
    """
    return DataParallelTrainer(work, scaling_config=ScalingConfig(num_workers=0)).fit().return_value


def train_together(experiment: Experiment, store_url: str, placement: Placement) -> None:
    """Train one experiment on all workers at once, each computing its share of every batch, until it has its result."""
    name = f"fleet-{uuid4().hex[:12]}"
    with TemporaryDirectory(prefix="strive-ray-") as notes:
        TorchTrainer(
            _group_worker(name, experiment, store_url),
            torch_config=Torch(),
            scaling_config=_scaling(placement),
            run_config=_run_config(name, experiment, store_url, notes),
        ).fit()
    store, run = open_store(store_url), RunFolder(experiment.id)
    if not store.exists(run.result):
        raise UserError(f"{experiment.id} has no result: {failure_reason(store, run)}")


def _scaling(placement: Placement) -> ScalingConfig:
    """As many workers as were asked for. Else, where machines come and go, as many as there is room for at any time: a
    group that lost one goes on from its checkpoint with the rest, and grows when there is room again."""
    most = min(MOST_TOGETHER, max(placement.workers, placement.growth))
    changes = placement.asked is None and (placement.growth > 0 or sum(map(bool, rooms(placement).values())) > 1)
    return ScalingConfig(
        num_workers=(1, most) if changes else placement.workers,
        use_gpu=placement.gpus_per_worker > 0,
        resources_per_worker=_resources(placement),
    )


def _run_config(name: str, experiment: Experiment, store_url: str, notes: str) -> RunConfig:
    """`notes` is a folder for Ray's own notes, on this host: its workers report nothing through Ray, and what it notes
    in a store would fail with it."""
    return RunConfig(
        name=name,
        storage_path=notes,
        # the run crashes after MAX_FAILURES dead workers; lost machines are no fault of its own
        failure_config=FailureConfig(max_failures=10 * MAX_FAILURES),
        callbacks=[RecordWorkerDeath(name, experiment, store_url)],
    )


class Torch(TorchConfig):
    """Torch's process group between the addresses that Ray's nodes have.

    Gloo takes the address that a host's own name has, which on many machines is the loopback's.
    """

    @property
    def backend_cls(self) -> type:
        return _ByAddress


class _ByAddress(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(_use_interface_of_node)
        super().on_start(worker_group, backend_config)


def _use_interface_of_node() -> None:
    address = get_node_ip_address()
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address == address for one in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


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
    owner, observer = this_process(fleet=fleet, rank=0), LeaseObserver(store)
    while True:
        acquired, all_done = leases.acquire(store, [experiment], 1, owner, observer)
        if acquired or all_done:
            return acquired
        time.sleep(POLL_SECONDS)


class RecordWorkerDeath(UserCallback):
    """Records of which run a worker died, before Ray starts its group again."""

    def __init__(self, fleet: str, experiment: Experiment, store_url: str):
        self.fleet, self.experiment, self.store_url = fleet, experiment, store_url

    def after_exception(self, run_context, worker_exceptions) -> None:
        store = open_store(self.store_url)
        for rank, error in worker_exceptions.items():
            if not _preempted(error):
                record_worker_death(store, [self.experiment], self.fleet, rank, cause(error))


def _preempted(error: Exception) -> bool:
    """Whether the machine was taken away: not the run's fault."""
    return bool(getattr(getattr(error, "health_check_failure", error), "preempted", False))


def _resources(placement: Placement) -> dict[str, float]:
    gpus = {"GPU": placement.gpus_per_worker} if placement.gpus_per_worker else {}
    return {"CPU": placement.cpus_per_worker, **gpus}
