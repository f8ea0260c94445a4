"""How training slows down when several processes train at once, and how fast a fleet on Ray starts and trains."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

from pipeline.bench.worker import BenchProcess
from pipeline.bench.workload import Workload
from pipeline.data import prepare
from pipeline.paper.networks import Network
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import study
from pipeline.records.attempt import LeaseRecord
from pipeline.store.objects import Store, open_store
from pipeline.store.paths import RunFolder
from pipeline.training import history
from pipeline.training.fleet import Fleet

EPOCHS = 20  # per run of the measured fleet
START = 600.0  # seconds that a fleet may take until its first run has finished
SETTLED = 3.0  # seconds after the last run was leased, until every worker trains


def concurrency(processes: list[BenchProcess], network: Network, work: Workload) -> dict[str, float]:
    """Compare one process alone with all of them at once, `work.repeats` times in turns.

    Speeds are images per second of wall-clock time. An efficiency of 1 means that n processes are n times as fast as
    one; `efficiency` is by wall-clock time, `efficiency_by_cpu_time` by seconds of work.
    """
    for process in processes:
        process.prepare([network], work)
    alone, together = [], []
    for _ in range(work.repeats):
        alone.append(processes[0].run())
        for process in processes:
            process.start()
        together += [process.finish() for process in processes]
    return {
        "processes": len(processes),
        "images_per_second_alone": 1 / median(one.wall for one in alone),
        "images_per_second_together": len(processes) / median(one.wall for one in together),
        "efficiency": median(one.wall for one in alone) / median(one.wall for one in together),
        "efficiency_by_cpu_time": median(one.work for one in alone) / median(one.work for one in together),
    }


def fleet(workers: int) -> dict[str, float]:
    """Compare a fleet on Ray, one run of the study `digits` per worker, with a fleet of one worker and one run.

    Times are seconds of wall-clock time from the start of the fleet. An efficiency of 1 means that n workers train n
    times as many epochs per second as one. RuntimeError if a fleet has not finished a run after START seconds.
    """
    with TemporaryDirectory(prefix="strive-bench-") as folder:
        store = open_store(str(Path(folder, "store")))
        one = next(e for e in study("digits").experiments if e.network.name == "convpool-cnn-c")
        one = replace(one, recipe=replace(one.recipe, epochs=EPOCHS))
        prepare.make(store, one.dataset, one.recipe.preprocess)
        alone = _run([replace(one, seed=0)], store, workers=1)
        runs = [replace(one, seed=seed) for seed in range(1, workers + 1)]
        together = _run(runs, store, workers)
    rate = sum(1 / seconds for seconds in together["epoch_seconds"])
    return {
        "workers": workers,
        "seconds_to_first_claim": together["began"],
        "seconds_in_all": together["ended"],
        "efficiency": rate * mean(alone["epoch_seconds"]) / workers,
        "share_of_cpu_time_in_workers": together["share"],
    }


def _run(runs: list[Experiment], store: Store, workers: int) -> dict:
    """Start a fleet and wait for it. The first and last two epochs are left out: other workers may not train then."""
    start = time.monotonic()
    with Fleet(runs, store.url, workers) as work:
        _wait_for(lambda: any(_lease(store, e) for e in runs), start)
        began = time.monotonic() - start
        _wait_for(lambda: all(_lease(store, e) for e in runs), start)
        time.sleep(SETTLED)
        before = _cpu_seconds(runs, store)
        _wait_for(lambda: any(store.exists(RunFolder(e.id).result) for e in runs), start)
        share = _share(before, _cpu_seconds(runs, store))
        work.wait()
    ended = time.monotonic() - start
    epochs = [median(row.seconds for row in history.read(store, RunFolder(e.id), 1)[2:-2]) for e in runs]
    return {"began": began, "ended": ended, "epoch_seconds": epochs, "share": share}


def _wait_for(there: Callable[[], bool], start: float) -> None:
    while not there():
        if time.monotonic() - start > START:
            raise RuntimeError(f"no run of the fleet has finished after {START:.0f} s")
        time.sleep(0.1)


def _lease(store: Store, experiment: Experiment) -> LeaseRecord | None:
    return store.find_record(LeaseRecord, RunFolder(experiment.id).lease(1))


def _cpu_seconds(runs: list[Experiment], store: Store) -> tuple[float, float]:
    """CPU seconds so far of the workers, and of all other child processes, which are those of Ray and Ray Train."""
    import psutil

    workers = {lease.pid for e in runs if (lease := _lease(store, e))}
    spent = {True: 0.0, False: 0.0}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            times = process.cpu_times()
            spent[process.pid in workers] += times.user + times.system
    return spent[True], spent[False]


def _share(before: tuple[float, float], after: tuple[float, float]) -> float:
    ours, others = (b - a for a, b in zip(before, after, strict=True))
    return ours / (ours + others)
