"""Photographs decoded over the cluster, a shard a task; by this process alone where that takes about a minute, or where
no cluster of several hosts is joined: this process uses all cores of its own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import StoreError, UserError
from pipeline.paper.recipes import Preprocess
from pipeline.plan import plain_form
from pipeline.plan.datasets import Dataset
from pipeline.runtime.driver import HERE_SECONDS, PHOTOGRAPHS, Driver, serve_parent
from pipeline.runtime.limits import cores
from pipeline.runtime.process_identity import host_name
from pipeline.runtime.ray_check import is_joined
from pipeline.store import from_workers
from pipeline.store.objects import BRIEF_SECONDS, Store, open_store
from pipeline.store.paths import DatasetFolder
from pipeline.whole_path import whole_path

if TYPE_CHECKING:
    from pipeline.data.write_shards import Made, Shard
    from pipeline.runtime.ray_cluster import Placement

RETRIES = 3  # of a shard whose worker died
LOOKED_AT = 8  # photographs, far apart, by which a host shows that it sees them all
ANSWER_SECONDS = 20.0  # for a host to say so; a slower one says it with its first shard

Sample = tuple[tuple[str, int], ...]  # files and their bytes


def is_small(store: Store, dataset: Dataset, how: Preprocess) -> bool:
    """Whether what is missing of a data set is prepared by this process as quickly as by a cluster."""
    if not dataset.shard or not is_joined():
        return True
    from pipeline.data.write_shards import missing  # torch

    return missing(store, DatasetFolder(dataset, how), dataset) / PHOTOGRAPHS / cores() <= HERE_SECONDS


class Preparation(Driver):
    """Prepares a data set in shards on the cluster. `wait` returns its folder; shards that are there when it is stopped
    are not made again.

    UserError, in one sentence, where a photograph cannot be decoded or a host does not see the photographs.
    """

    def __init__(
        self, dataset: Dataset, how: Preprocess, store_url: str, data_dir: str | None, workers: int | None = None
    ):
        whole = data_dir and str(whole_path(data_dir))  # its process has another working directory
        order = {"dataset": plain_form.untagged(dataset), "how": plain_form.plain(how), "store": store_url}
        super().__init__("pipeline.data.preparation", order | {"data_dir": whole, "workers": workers})


def _prepare(order: dict, placement: "Placement") -> str:
    from pipeline.data import prepare

    store, how = open_store(order["store"]), plain_form.read(order["how"])
    dataset = plain_form.read_dataset(order["dataset"])
    from_workers.insist(store)
    news, brief = DatasetFolder(dataset, how).news, store.within(BRIEF_SECONDS)

    def tell(text: str) -> None:
        with suppress(OSError, StoreError):  # news that cannot be told are no reason to stop
            brief.write_json(news, {"text": text})

    return prepare.make(store, dataset, how, order["data_dir"], tell, partial(_over_cluster, placement))


def _over_cluster(placement: "Placement", store: Store, shards: Sequence["Shard"]) -> Iterator[tuple["Shard", "Made"]]:
    from pipeline.runtime import ray_cluster

    files = [file for shard in shards for file in (shard.files[0], shard.files[-1])]
    sample = tuple((file, os.path.getsize(file)) for file in files[:: max(1, len(files) // LOOKED_AT)])
    if is_joined():
        said = ray_cluster.on_each_node(partial(blind, sample), ANSWER_SECONDS, placement.cpus_per_worker)
        if troubles := [text for text in said if text]:
            raise UserError(min(troubles))
    work = partial(_make_one, store.url, sample)
    orders = ray_cluster.as_done(_called, [(work, shard) for shard in shards], placement, RETRIES)
    try:
        for (_, shard), (made, trouble) in orders:
            if trouble or made is None:
                raise UserError(trouble)
            yield shard, made
    except ray_cluster.TaskDied as died:
        _, shard = died.item
        raise UserError(
            f"a worker's process dies each time it decodes the photographs from {shard.files[0]} to "
            f"{shard.files[-1]}: {died}"
        ) from died


def blind(sample: Sample) -> str:
    """Called on a worker: why it cannot read the photographs; empty where it can."""
    here = f"the Ray node {host_name().split()[0]}"
    for file, size in sample:
        try:
            with open(file, "rb") as photograph:
                found = os.fstat(photograph.fileno()).st_size
        except OSError as error:
            folder = Path(file).parents[2]
            return (
                f"{here} does not see the photographs of {folder} ({file}: {error.strerror}): every node must have "
                "that folder at the same path; `strive work` prepares it in one process, on this machine alone"
            )
        if found != size:
            return f"{here} sees another {file} than this machine: it has {found:,} bytes there and {size:,} here"
    return ""


def _called(given):
    work, shard = given
    return work(shard)  # Ray takes functions, and no other callables


def _make_one(store_url: str, sample: Sample, shard: "Shard") -> tuple["Made | None", str]:
    """Called on a worker: what became of a shard, and why this host cannot make any."""
    from pipeline.data.write_shards import Made, make_one

    made = make_one(open_store(store_url), shard, threads=1)
    if made.wrong and (trouble := blind(sample)):
        return None, trouble
    here = host_name().split()[0]
    return Made(made.shard, tuple(f"{text} (on the Ray node {here})" for text in made.wrong)), ""


if __name__ == "__main__":
    serve_parent(_prepare)
