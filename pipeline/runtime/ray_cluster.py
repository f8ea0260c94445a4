"""The connection to Ray: a cluster to join or to start, what fits on it, and calls on its workers."""

import contextlib
import glob
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

# Read by Ray when it is imported. Nothing is reported through Ray, so its helpers would only cost start-up time.
os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
os.environ.setdefault("RAY_TRAIN_METRICS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# under `uv run` it would send workers a copy of the folder, without its commit: they have this very code already
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")

import psutil
import ray
from ray._private.state import state
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RayTaskError, WorkerCrashedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.errors import UserError
from pipeline.runtime.child_process import kill_tree
from pipeline.runtime.limits import cores
from pipeline.runtime.ray_check import ray_folder, ray_trouble
from pipeline.runtime.settings import TOGETHER

T = TypeVar("T")
R = TypeVar("R")
STARTS = 3  # tries to start a cluster of our own
ORDERED = 2  # tasks a CPU that are ordered at once, so that none waits for us
_logs_tell = False
_before_ours: set[str] | None = None  # folders that were there when a cluster of our own was begun
OBJECT_STORE_BYTES = 2**28  # of shared memory: data and weights travel through the store, not through Ray


@dataclass(frozen=True)
class Placement:
    """Where a fleet runs; no part of any run's identity."""

    workers: int  # for which there is room now, or as many as were asked for
    gpus_per_worker: float = 0
    cpus_per_worker: float = 1
    together: int = 1  # experiments that one worker trains at once
    asked: int | None = None  # None: as many as there is room for, at any time
    growth: int = 0  # workers for which the cluster's autoscaler may make room; 0 where there is none


def connect(workers: int | None = None) -> Placement:
    """Join the cluster of RAY_ADDRESS, or start one in this process's care; how many workers fit on it.

    A cluster may have no CPUs yet, or fewer than the `workers` asked for: Ray's autoscaler sees the demand.
    """
    if trouble := ray_trouble(workers):
        raise UserError(trouble)
    if not (address := os.environ.get("RAY_ADDRESS")):
        os.environ.pop("RAY_ADDRESS", None)  # Ray takes an empty one for a cluster to join
    may = {}
    if address and address != "local":
        _join(address)
        may = state.get_max_resources_from_cluster_config() or {}  # of its autoscaler, if it has one
    else:
        _start(workers or cores())
    return placed(workers, ray.cluster_resources(), may)


def placed(workers: int | None, have: Mapping[str, float], may: Mapping[str, float]) -> Placement:
    """How many workers fit on the resources that a cluster has, and on those that its autoscaler `may` bring it to.

    GPUs are used where there are any, or may be: a cluster whose machines with GPUs come when they are asked for has
    none at first.
    """
    cpus, gpus = int(have.get("CPU", 0)), int(have.get("GPU", 0))
    most_cpus, most_gpus = int(may.get("CPU", 0)), int(may.get("GPU", 0))
    on_gpus = max(gpus, most_gpus) > 0
    count = workers or min(gpus, cpus) or (1 if on_gpus else max(1, cpus))
    return Placement(
        count,
        gpus_per_worker=min(1, max(gpus, most_gpus) / count),
        together=TOGETHER if on_gpus else 1,
        asked=workers,
        growth=min(most_gpus, most_cpus) if on_gpus else most_cpus,
    )


def rooms(placement: Placement) -> dict[str, int]:
    """How many such workers each machine of the cluster has room for, by its id; without those announced to go."""
    gone = leaving()
    nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in gone]
    return {node["NodeID"]: _room(node["Resources"], placement) for node in nodes}


def leaving() -> set[str]:
    """The ids of the machines that are announced to go; Ray has no public call for it."""
    return set(state.get_draining_nodes())


def _room(resources: dict[str, float], placement: Placement) -> int:
    room = int(resources.get("CPU", 0) / placement.cpus_per_worker)
    if placement.gpus_per_worker:
        room = min(room, int(resources.get("GPU", 0) / placement.gpus_per_worker + 1e-6))
    return room


def _start(cpus: int) -> None:
    """A cluster of our own. A busy machine's node gives up when its helpers take long, and the next is quicker."""
    global _before_ours
    _before_ours = _sessions()
    before = set(psutil.Process().children())
    for left in reversed(range(STARTS)):
        try:
            local = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            ray.init(address="local", log_to_driver=False, logging_level=logging.ERROR, **local)
            return
        except Exception as error:  # Ray raises a bare Exception
            ray.shutdown()
            for child in set(psutil.Process().children()) - before:
                kill_tree(child.pid)
            if not left:
                logs = os.path.join(ray_folder(), "ray/session_latest/logs")
                cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise UserError(f"Ray did not start in {STARTS} tries: {cause} Its logs are in {logs}") from error


def _sessions() -> set[str]:
    """Folders of clusters that this process has begun, whole or not: Ray puts its id at the end of their names."""
    return set(glob.glob(os.path.join(glob.escape(ray_folder()), f"ray/session_*_{os.getpid()}")))


def _join(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        raise UserError(
            f"the Ray cluster at RAY_ADDRESS={address} did not let us in: {str(error).splitlines()[0]}"
        ) from error


def on_each_node(call: Callable[[], R], seconds: float, least_cpus: float = 0) -> list[R]:
    """What `call` returns on every machine of the cluster that answers within so many seconds; takes no CPU of it.
    Machines with fewer CPUs than `least_cpus`, on which no work is done, are not asked.

    Secrets are no part of `call`, nor of a runtime environment: Ray writes both into files that others can read.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    nodes = [node["NodeID"] for node in alive if node["Resources"].get("CPU", 0) >= least_cpus]
    task: Any = ray.remote(_called)
    asked = [
        task.options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False))
        for id in nodes
    ]
    answers, waiting = ray.wait([one.remote(call) for one in asked], num_returns=len(asked), timeout=seconds)
    for ref in waiting:
        ray.cancel(ref, force=True)
    found = []
    for ref in answers:
        with contextlib.suppress(RayError):  # the machine is gone
            found.append(ray.get(ref))
    return found


def _called(call: Callable[[], R]) -> R:
    return call()  # Ray takes functions, and no other callables


def keep_logs() -> None:
    """The logs of a Ray of our own may say why something failed."""
    global _logs_tell
    _logs_tell = True


def disconnect() -> None:
    """Leave the cluster; one of our own ends with all its processes, and its logs go unless they are to be kept."""
    ray.shutdown()
    if _before_ours is None or _logs_tell:
        return
    for folder in _sessions() - _before_ours:
        latest = os.path.join(os.path.dirname(folder), "session_latest")
        if os.path.realpath(latest) == os.path.realpath(folder):
            with contextlib.suppress(OSError):  # another has been begun, or ended, this very moment
                os.unlink(latest)
        shutil.rmtree(folder, ignore_errors=True)


def each(call: Callable[[T], R], items: Sequence[T], placement: Placement, retries: int) -> list[R]:
    """What `call` returns for each item, on as many workers as are free; one that dies is replaced `retries` times.

    What `call` raises is raised here.
    """
    task = ray.remote(call).options(
        num_cpus=placement.cpus_per_worker, num_gpus=placement.gpus_per_worker, max_retries=retries
    )
    try:
        return ray.get([task.remote(item) for item in items])
    except RayTaskError as error:  # whose text is a traceback
        raise error.cause from error


class TaskDied(Exception, Generic[T]):
    """The process that worked on `item` died again and again."""

    def __init__(self, item: T, why: str):
        super().__init__(why)
        self.item = item


def as_done(call: Callable[[T], R], items: Iterable[T], placement: Placement, retries: int) -> Iterator[tuple[T, R]]:
    """Each item with what `call` returns for it on a CPU of any host, as they are done; hosts may come and go.

    What `call` raises is raised here; TaskDied where its process dies more than `retries` times.
    """
    task = ray.remote(call).options(
        num_cpus=placement.cpus_per_worker, max_retries=retries, scheduling_strategy="SPREAD"
    )
    left, at_work = iter(items), dict[ray.ObjectRef, T]()
    while True:
        most = placement.asked or ORDERED * max(1, int(ray.cluster_resources().get("CPU", 0)))
        at_work |= {task.remote(item): item for item in islice(left, max(0, most - len(at_work)))}
        if not at_work:
            return
        [ref], _ = ray.wait(list(at_work), num_returns=1)
        item = at_work.pop(ref)
        try:
            yield item, ray.get(ref)
        except (WorkerCrashedError, OutOfMemoryError, NodeDiedError) as error:
            raise TaskDied(item, str(error).strip().splitlines()[0]) from error
        except RayTaskError as error:
            raise error.cause from error
