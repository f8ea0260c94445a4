"""A simulated fleet on a virtual clock: real code from the choice of a run to its result, but training only waits."""

import gc
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from torch import nn

from pipeline.bench.counted_store import CountedBackend, Limits, SlowDown
from pipeline.bench.virtual_time import VirtualTime
from pipeline.numerics.reference_loop import Epoch
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import study
from pipeline.records.attempt import Owner
from pipeline.records.dataset import DatasetManifest, StoredObject
from pipeline.runtime.provenance import provenance
from pipeline.store import objects, results, standings
from pipeline.store.objects import Store
from pipeline.store.outage import Outage
from pipeline.store.paths import DatasetFolder
from pipeline.training import job, leases, owners, queue, run_after_run, under_way
from pipeline.training.progress import Progress

EPOCHS = 100
RUN_SECONDS = 94.0  # mean training time of a run: All-CNN-C alone on a GPU at 300 TFLOP/s
SPREAD = 0.25  # the times of runs differ from the mean by up to this share
DATA = {"train-labels.npy": 1, "test-labels.npy": 1, "whitening.safetensors": 1, "test-images.npy": 2}
DATA |= {"train-images.npy": 10}  # the data set's objects; each worker reads each in so many GETs of 64 MiB, once
LOOK_SECONDS = 2.0  # between two times that the driver reads the states of all runs
PATIENCE = 900.0  # seconds for which a store retries a refused request


@dataclass
class Seen:
    """What the simulation records besides the requests; times are seconds of the virtual clock."""

    at_work: dict[int, float] = field(default_factory=dict)  # by a worker's rank: when it began to train
    runs: list[tuple[float, float]] = field(default_factory=list)  # when the training of each run began and ended
    looks: list[int] = field(default_factory=list)  # requests for each reading of all runs' states
    ends: list[Any] = field(default_factory=list)  # what `run_after_run` returned, for each worker


class Trainer:
    """A substitute for numerics' Trainer with the attributes that `job` uses; it computes nothing."""

    model = nn.Linear(2, 2)
    weights = SimpleNamespace(velocities={})
    part, flat, diverged, dead = None, 0, False, False

    def __init__(self, experiment: Experiment, rank: int):
        self.experiment, self.recipe, self.network = experiment, experiment.recipe, experiment.network
        self.rank, self.epoch = rank, 0

    def broadcast_state(self) -> None:
        """Nothing to do: each experiment has one worker."""

    @property
    def finished(self) -> bool:
        return self.epoch == self.recipe.epochs


class OneByOne:
    """A substitute for ThreadPoolExecutor that makes the calls one after the other in the calling thread."""

    map = staticmethod(map)

    def __init__(self, _threads: int):
        pass

    def __enter__(self) -> "OneByOne":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Simulation:
    """`workers` that train `runs` with one store; after `run`, which works once, `backend` and `seen` have the results.

    `latency` is a request's mean time in seconds.
    """

    def __init__(self, workers: int, runs: int, latency: float = 0.03, seed: int = 0):
        self.time = VirtualTime()
        self.backend = CountedBackend(self.time.sleep, self.time.monotonic, latency, seed)
        self.seen, self.workers = Seen(), workers
        self.experiments = experiments(runs)
        self._random, self._stores = random.Random(seed), {}
        self._origin = provenance("cpu", "", None, "float32")
        self._read: set[int] = set()  # ranks of the workers that have read the data set
        self._write_data()

    def limit(self, reads: float, others: float) -> None:
        """Let the store refuse requests beyond so many per second, of GET and HEAD and of all others."""
        self.backend.limits = Limits(self.time.monotonic, reads, others)

    def store(self) -> Store:
        """A new Store on the simulated backend, as each process opens its own."""
        return Store(self.backend.view(), (SlowDown,), PATIENCE, Outage(self.backend.url, self.time.monotonic))

    def run(self, look: bool = True) -> float:
        """Simulate until the last run has its result; returns its time in seconds of the virtual clock.

        `look` says whether the driver reads the states of all runs every LOOK_SECONDS.
        """
        gc.disable()  # it would go through the objects of a thousand workers again and again
        try:
            with patched(self):
                self.time.spawn(lambda: self._begin(look))
                self.time.run()
        finally:
            gc.enable()
        return self.time.now

    def _begin(self, look: bool) -> None:
        """The fleet's driver: starts the workers and, if `look`, the reading of all runs' states."""
        standings.complete(self.store(), [e.id for e in self.experiments])
        for rank in range(self.workers):
            self.time.spawn(lambda rank=rank: self._work(rank))
        if look:
            self.time.spawn(self._look_on, daemon=True)

    def _work(self, rank: int) -> None:
        released: Any = self.time.Event()
        end = run_after_run.run_after_run("fleet", self.experiments, str(rank), 1, rank, released)
        self.seen.ends.append(end)

    def _look_on(self) -> None:
        store = self.store()
        progress = Progress(store, self.experiments)
        while True:
            store.backend.mine.clear()  # pyright: ignore[reportAttributeAccessIssue]
            progress.statuses()
            self.seen.looks.append(store.backend.mine.total())  # pyright: ignore[reportAttributeAccessIssue]
            self.time.sleep(LOOK_SECONDS)

    def open_store(self, url: str) -> Store:
        """A store for the worker whose rank is `url`."""
        store = self.store()
        self._stores[id(store)] = (int(url), store)
        return store

    def load(self, store: Store, dataset: Any, how: Any) -> Any:
        """Substitute for prepare.load: makes its requests the first time that a worker calls it."""
        rank = self._stores[id(store)][0]
        if rank not in self._read:
            self._read.add(rank)
            folder = DatasetFolder(dataset, how)
            store.read(folder.manifest)
            for name, pieces in DATA.items():
                for _ in range(pieces):
                    store.read_buffer(folder.object(name))
        return SimpleNamespace(manifest_sha256="", whitening_sha256=None, rank=rank)

    def trainer(self, experiment: Experiment, data: Any, workers: Any) -> Trainer:
        """Substitute for job._trainer."""
        return Trainer(experiment, data.rank)

    def chunks(self, trainers: Sequence[Trainer]) -> Iterator[tuple[Trainer, Epoch]]:
        """Substitute for numerics.fast.loop.chunks: epochs that only wait on the virtual clock."""
        [trainer] = trainers
        began = self.time.now
        self.seen.at_work.setdefault(trainer.rank, self.time.now)
        each = RUN_SECONDS * self._random.uniform(1 - SPREAD, 1 + SPREAD) / trainer.recipe.epochs
        while not trainer.finished:
            self.time.sleep(each)
            trainer.epoch += 1
            if trainer.finished:
                self.seen.runs.append((began, self.time.now))
            yield trainer, Epoch(trainer.epoch - 1, 0.1, 1.0, 1, 10, 1, 10, each)

    def busy(self) -> float:
        """The share of all workers' time that they trained, up to the time at which the last run began."""
        until = max(began for began, _ in self.seen.runs)
        return sum(min(ended, until) - began for began, ended in self.seen.runs) / (until * self.workers)

    def later_attempts(self) -> int:
        """The number of attempts beyond each run's first; any means that a run was taken from a worker that lived."""
        return sum(not path.endswith("/1") for path in self.backend.folders_two_below("runs", "attempts"))

    def _write_data(self) -> None:
        this = self.experiments[0]
        folder = DatasetFolder(this.dataset, this.recipe.preprocess)
        listed = {name: StoredObject("", 1) for name in DATA}
        manifest = DatasetManifest(objects=listed, dataset={}, preprocess={})
        free = CountedBackend(lambda _seconds: None, self.time.monotonic)
        free._top = self.backend._top
        for name in DATA:
            free.put(folder.object(name), b"1")
        free.put(folder.manifest, manifest.to_json())


def experiments(runs: int) -> list[Experiment]:
    """All-CNN-C with so many seeds, for EPOCHS epochs each."""
    one = next(e for e in study("table-3", 1).experiments if e.network.name == "all-cnn-c")
    one = replace(one, recipe=replace(one.recipe, epochs=EPOCHS, lr_drops=(57, 71, 86)))
    return [replace(one, seed=seed) for seed in range(runs)]


@contextmanager
def patched(this: Simulation) -> Iterator[None]:
    """Within the context, the real modules use the simulation's clock, store, data and training."""
    numerics: dict[str, Any] = {
        "prepare": SimpleNamespace(load=this.load),
        "_trainer": this.trainer,
        "chunks": this.chunks,
        "provenance": lambda *_: this._origin,
        "_prepare_process": lambda: None,
    }

    def observer(store: Store) -> owners.LeaseObserver:
        return owners.LeaseObserver(store, this.time.monotonic)

    def process(fleet: str, rank: int) -> Owner:
        """The owner of leases in place of this process: a worker's rank, with eight workers per host."""
        here = owners.this_process(fleet, rank)
        return replace(here, token=str(rank), host=f"host-{rank // 8}")

    with ExitStack() as stack:
        for module in (objects, under_way, leases, queue):
            stack.enter_context(_set(module, time=this.time))
        stack.enter_context(_set(leases, threading=this.time))
        for module in (results, standings):
            stack.enter_context(_set(module, ThreadPoolExecutor=OneByOne))
        stack.enter_context(_set(job, **numerics))
        stack.enter_context(
            _set(run_after_run, open_store=this.open_store, LeaseObserver=observer, this_process=process)
        )
        yield


@contextmanager
def _set(module: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    assert all(what in (time, threading) or callable(what) or name == "prepare" for name, what in before.items())
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
