"""What the next command will need, checked one by one, each with how to mend it."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from uuid import uuid4

from flows.prefect_server import server_version
from pipeline.errors import UserError
from pipeline.plan.datasets import DATASETS, Dataset
from pipeline.runtime.limits import cores, free_memory
from pipeline.runtime.ray_check import ray_trouble
from pipeline.runtime.settings import settings
from pipeline.store.objects import open_store

SETS = ("digits", "cifar10", "cifar100", "imagenet")
MEMORY_BYTES = 3e9  # Ray, Prefect and two workers on digits


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    found: str
    mend: str = ""

    @property
    def state(self) -> str:
        """In a word; what is optional and absent is in order, and how to get it is said."""
        return "FAIL" if not self.ok else "none" if self.mend else "ok"

    def plain(self) -> dict:
        return asdict(self)


def examine(store_url: str | None, data_dir: str | None) -> list[Check]:
    """Every check of this room; nothing is left behind in the store."""
    looks: dict[str, Callable[[], Check]] = {
        "python": _python,
        "store": lambda: _store(store_url),
        **{name: partial(_data, name, settings(data_dir=data_dir).data_dir) for name in SETS},
        "devices": _devices,
        "memory": _memory,
        "ray": _ray,
    }
    return [_look(name, look) for name, look in looks.items()]


def insist(store_url: str | None, data_dir: str | None, datasets: Iterable[Dataset] = ()) -> None:
    """Refused unless the store takes what is put there, Ray can run, and the data directory has these data sets."""
    check = _look("store", lambda: _store(store_url))
    if not check.ok:
        raise UserError(": ".join(part for part in (check.found, check.mend) if part))
    if trouble := ray_trouble():
        raise UserError(trouble)
    insist_on_data(datasets, settings(data_dir=data_dir).data_dir)


def insist_on_data(datasets: Iterable[Dataset], data_dir: str | None) -> None:
    """Refused where files of these data sets are there and are not the published ones."""
    for dataset in datasets:
        from pipeline.data.sources import reach

        reach(dataset, data_dir, digests=True)


def _look(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except UserError as error:  # it says itself how to mend it
        return Check(name, False, str(error))


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check("python", ok, sys.version.split()[0], "" if ok else "install Python 3.11 or newer")


def _store(store_url: str | None) -> Check:
    """A put, a put that must lose, a read, a delete."""
    url = settings(store_url).store
    path = f"doctor/{uuid4().hex}"
    try:
        store = open_store(url)
        won, lost = store.create(path, b"first"), store.create(path, b"second")
        found = store.read(path)
        store.delete(path)
    except UserError:
        raise
    except Exception as error:  # whatever a store's client raises is this check's answer
        return Check("store", False, f"{url}: {type(error).__name__}: {error}", _mend_store(url))
    if not won or lost or found != b"first":
        return Check(
            "store", False, f"{url}: a conditional put was not refused", "use a store with If-None-Match on puts"
        )
    return Check("store", True, f"{store.url}: writable, conditional put works")


def _mend_store(url: str) -> str:
    if url.startswith("s3://"):
        return "make the bucket, and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, off AWS, AWS_ENDPOINT_URL"
    return "choose a folder you may write to with --store or STRIVE_STORE"


def _data(name: str, data_dir: str | None) -> Check:
    from pipeline.data.sources import reach

    found, mend = reach(DATASETS[name], data_dir, digests=True)
    return Check(name, True, found, mend)


def _devices() -> Check:
    import torch

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return Check("devices", True, f"{cores()} CPU cores, {', '.join(gpus) or 'no GPU'}, torch {torch.__version__}")


def _memory() -> Check:
    free = free_memory()
    ok = free >= MEMORY_BYTES
    return Check("memory", ok, f"{free / 1e9:.1f} GB free", "" if ok else "free 3 GB, or train with --workers 1")


def _ray() -> Check:
    if trouble := ray_trouble():
        return Check("ray", False, trouble)
    address = os.environ.get("RAY_ADDRESS")
    try:
        found = f"ray {version('ray')}, " + (f"cluster at {address}" if address else "started locally when needed")
    except PackageNotFoundError:
        return Check("ray", False, "not installed", "uv sync")
    if address and address != "local":
        from pipeline.runtime import ray_cluster

        try:
            ray_cluster.connect()
            ray_cluster.disconnect()
        except (ConnectionError, RuntimeError, ValueError) as error:
            return Check("ray", False, f"{found}: {error}", "start the cluster, or unset RAY_ADDRESS to run locally")
    return Check("ray", True, found)


def examine_all(store_url: str | None, data_dir: str | None) -> list[Check]:
    """Store, data, devices, Ray, Prefect."""
    return [*examine(store_url, data_dir), _look("prefect", _prefect)]


def _prefect() -> Check:
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

    url, found = PREFECT_API_URL.value(), f"prefect {version('prefect')}"
    if not url:
        return Check("prefect", True, f"{found}, embedded server (PREFECT_API_URL is not set)")
    server = server_version(url, PREFECT_API_AUTH_STRING.value())
    return Check("prefect", True, f"{found}, server {server} at {url}")
