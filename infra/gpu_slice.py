"""One slice of time on a borrowed GPU: checks, a measurement, then as many of a study's missing runs as fit.

    python infra/gpu_slice.py --study table-3 --store results --data-dir DIR --seconds 570

Run it again, here or elsewhere, and it goes on from the last checkpoints in the store. It needs torch, numpy, pandas,
pyarrow, fsspec and safetensors alone: no Ray, no Prefect, no network. The store is one like any other, and
`strive table table-3 --store results` reads it. What is too large to be kept with the code, prepared images and
checkpoints, is left out by .gitignore; the weights are there in half precision besides, evaluated once more before.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from pipeline.data import prepare  # noqa: E402
from pipeline.errors import UserError  # noqa: E402
from pipeline.evaluation import verify  # noqa: E402
from pipeline.plan.experiment import Experiment  # noqa: E402
from pipeline.plan.studies import Study, study  # noqa: E402
from pipeline.records.result import Result  # noqa: E402
from pipeline.runtime.settings import TOGETHER  # noqa: E402
from pipeline.store.objects import Store, open_store  # noqa: E402
from pipeline.store.paths import RunFolder  # noqa: E402
from pipeline.training import job  # noqa: E402
from pipeline.training.owners import LeaseObserver, this_process  # noqa: E402
from pipeline.training.progress import Progress, trainable  # noqa: E402
from pipeline.training.queue import Queue  # noqa: E402

RESERVE = 20.0  # seconds kept for writing down what there is


class TimeIsUp(BaseException):
    """The slice ends: like Ctrl-C, it is no failure."""


def main() -> int:
    words = _arguments()
    began = time.monotonic()
    try:
        store, wanted = open_store(words.store), study(words.study, words.seeds)
    except UserError as refused:
        print(f"cannot: {refused}")
        return 2
    signal.signal(signal.SIGALRM, _time_is_up)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(1.0, words.seconds - RESERVE))
        if not words.skip_checks and not check():
            return 1
        if not words.skip_bench:
            measure(store, quick=not words.whole_bench)
        if not words.skip_training:
            left = train(store, wanted, words.data_dir, words.together)
            print(f"{left} runs left" if left else "nothing is left to train")
    except TimeIsUp:
        print("time is up: run this again to go on")
    except UserError as refused:
        print(f"cannot: {refused}")
        return 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        leave(store, wanted.wanted)
        print(f"{time.monotonic() - began:.0f} s")
    return 0


def check() -> bool:
    """What only a GPU can show; without pytest too."""
    if not torch.cuda.is_available():
        print("no GPU: its checks are left out")
        return True
    from pipeline.numerics.fast.self_check import CHECKS

    bad = 0
    for name, holds in CHECKS.items():
        try:
            holds()
        except Exception as error:  # every check is to be heard; one that failed ends the slice afterwards
            bad += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}")
        else:
            print(f"holds  {name}")
    return bad == 0


def measure(store: Store, quick: bool) -> None:
    from pipeline.bench.measure import measure as bench

    print(f"measured: {bench(store, quick, print)['address']}")


def train(store: Store, wanted: Study, data_dir: str | None, together: int) -> int:
    """Work through what the study needs, worthiest first; how many runs are left."""
    queue = Queue(store, this_process(), LeaseObserver(store))
    progress = Progress(store, list(wanted.wanted))
    together = together if torch.cuda.is_available() else 1
    while needed := [standing.experiment for standing in trainable(wanted, progress.statuses())]:
        for this in needed[:together]:  # before a lease that could be left open: whitening takes half a minute
            prepare.make(store, this.dataset, this.recipe.preprocess, data_dir)
        held, settled = queue.take(needed, together)
        if settled:
            continue
        if not held:
            time.sleep(1)  # another process's, which may be gone: that shows within a minute
            continue
        for lease in held:
            this = lease.experiment
            prepare.make(store, this.dataset, this.recipe.preprocess, data_dir)  # most often there already
            print(f"{this.id}, attempt {lease.attempt}", flush=True)
        for result in job.run(held, store):
            print(f"{result.experiment_id}: {result.outcome}, {result.wrong} wrong of {result.seen}", flush=True)
        leave(store, [lease.experiment for lease in held])
    return len(needed)


def leave(store: Store, experiments: Iterable[Experiment]) -> None:
    """The finished ones as they can be kept with the code: evaluated once more, and their weights in half precision."""
    for experiment in experiments:
        run = RunFolder(experiment.id)
        result = store.find_record(Result, run.result)
        if result and result.outcome == "done" and store.exists(run.weights_of(result)):
            verify.publish_float16(store, run.id)
            try:
                verify.verify(store, run.id)
            except ValueError as wrong:  # the others are to be kept all the same
                print(f"NOT VERIFIED: {wrong}")


def _time_is_up(_number: int, _frame: object) -> None:
    raise TimeIsUp


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add: Callable = parser.add_argument
    add("--study", default="table-3")
    add("--seeds", type=int, default=None)
    add("--store", default="results")
    add("--data-dir", default=None, help="a folder that holds the unpacked data sets")
    add("--seconds", type=float, default=570.0, help="of this slice")
    add("--together", type=int, default=TOGETHER, help="experiments side by side")
    add("--whole-bench", action="store_true", help="the long measurement: most of a slice")
    add("--skip-checks", action="store_true")
    add("--skip-bench", action="store_true")
    add("--skip-training", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
