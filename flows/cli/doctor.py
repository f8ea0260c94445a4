"""What the next command will need, checked one by one, each with how to fix it."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from flows.prefect_server import configured
from pipeline.errors import StoreError, UserError
from pipeline.plan.datasets import DATASETS, Dataset
from pipeline.runtime.limits import MORE_MEMORY, address_space, cores, free_memory, lacks_memory
from pipeline.runtime.ray_check import is_joined, ray_trouble
from pipeline.runtime.settings import settings
from pipeline.store import from_workers, probe
from pipeline.store.objects import LOOK_SECONDS, Store, open_store
from pipeline.store.s3_import import insist_on_fsspec

SETS = ("digits", "cifar10", "cifar100", "imagenet")
MEMORY_BYTES = 3e9  # Ray, Prefect and two workers on digits
ADDRESSES = 5e9  # bytes that a process maps which trains on digits


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    found: str
    fix: str = ""

    @property
    def state(self) -> str:
        """In a word; what is optional and absent is in order, and how to get it is said."""
        return "FAIL" if not self.ok else "none" if self.fix else "ok"

    def plain(self) -> dict:
        return asdict(self)


def examine(store_url: str | None, data_dir: str | None) -> list[Check]:
    """Every check of this room; nothing is left behind in the store."""
    looks: dict[str, Callable[[], Check]] = {
        "python": _python,
        "store": lambda: _store(store_url, races=True),
        **{name: partial(_data, name, settings(data_dir=data_dir).data_dir) for name in SETS},
        "devices": _devices,
        "memory": _memory,
        "ray": lambda: _ray(store_url),
    }
    return [_look(name, look) for name, look in looks.items()]


def insist(
    store_url: str | None, data_dir: str | None, datasets: Iterable[Dataset] = (), workers: int | None = None
) -> None:
    """Refused unless the store takes what is put there, Ray can run, and the data directory has these data sets."""
    insist_on_fsspec()
    _store(store_url)
    if trouble := ray_trouble(settings(workers=workers).workers):
        raise UserError(trouble)
    if is_joined():
        from pipeline.training.fleet import Fleet

        Fleet([], settings(store_url).store, None).wait()  # it trains nothing, and tries the store from every node
    insist_on_data(datasets, settings(data_dir=data_dir).data_dir)


def insist_on_data(datasets: Iterable[Dataset], data_dir: str | None) -> None:
    """Refused where files of these data sets are there and are not the published ones."""
    for dataset in datasets:
        from pipeline.data.sources import reach

        reach(dataset, data_dir, digests=True)


def _look(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except (UserError, StoreError) as error:  # it says itself how to fix it
        return Check(name, False, str(error))
    except Exception as error:  # whatever a library that is broken may raise; the other checks go on
        said = (str(error).strip().splitlines() or [""])[0]
        helps = MORE_MEMORY if lacks_memory(error) else "repair the environment: uv sync --reinstall"
        return Check(name, False, f"{type(error).__name__}: {said}", helps)


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check("python", ok, sys.version.split()[0], "" if ok else "install Python 3.11 or newer")


def _store(store_url: str | None, races: bool = False) -> Check:
    """A put, a put that must lose, a read, a delete; and two writers at once."""
    store = open_store(settings(store_url).store, LOOK_SECONDS)
    probe.try_out(store)
    if races:
        probe.race(store)
    how = "and of two writers at once one wins" if races else "conditional put works"
    return Check("store", True, f"{store.url}: writable, {how}")


def _data(name: str, data_dir: str | None) -> Check:
    from pipeline.data.sources import reach

    found, fix = reach(DATASETS[name], data_dir, digests=True)
    return Check(name, True, found, fix)


def _devices() -> Check:
    import torch

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return Check("devices", True, f"{cores()} CPU cores, {', '.join(gpus) or 'no GPU'}, torch {torch.__version__}")


def _memory() -> Check:
    if (most := address_space()) < ADDRESSES:
        found = f"a process may map {most / 1e9:.1f} GB (ulimit -v)"
        return Check("memory", False, found, f"allow {ADDRESSES / 1e9:.0f} GB, most of which is never used")
    free = free_memory()
    ok = free >= MEMORY_BYTES
    return Check("memory", ok, f"{free / 1e9:.1f} GB free", "" if ok else "free 3 GB, or train with --workers 1")


def _ray(store_url: str | None) -> Check:
    """Of a joined cluster, whether its machines reach the store too."""
    if trouble := ray_trouble(settings().workers):
        return Check("ray", False, trouble)
    address = os.environ.get("RAY_ADDRESS")
    try:
        found = f"ray {version('ray')}, " + (f"cluster at {address}" if address else "started locally when needed")
    except PackageNotFoundError:
        return Check("ray", False, "not installed", "uv sync")
    if is_joined():
        from pipeline.runtime import ray_cluster

        try:
            ray_cluster.connect()
            return _ray_nodes(found, open_store(settings(store_url).store, LOOK_SECONDS))
        except (ConnectionError, RuntimeError, ValueError) as error:
            return Check("ray", False, f"{found}: {error}", "start the cluster, or unset RAY_ADDRESS to run locally")
        finally:
            ray_cluster.disconnect()
    return Check("ray", True, found)


def _ray_nodes(found: str, store: Store) -> Check:
    try:
        count = from_workers.insist(store)
    except (UserError, StoreError) as error:  # it says itself how to fix it
        return Check("ray", False, f"{found}: {error}")
    return Check("ray", True, f"{found}; {count} nodes read and write {store.url}")


def examine_all(store_url: str | None, data_dir: str | None) -> list[Check]:
    """Store, data, devices, Ray, Prefect."""
    return [*examine(store_url, data_dir), _look("prefect", _prefect)]


def _prefect() -> Check:
    setting, found = configured(), f"prefect {version('prefect')}"
    if not setting.url:
        return Check("prefect", True, f"{found}, embedded server (PREFECT_API_URL is not set)")
    return Check("prefect", True, f"{found}, {setting.insist()} at {setting.url}")
