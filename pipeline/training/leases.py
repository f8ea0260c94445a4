"""Leases: which process trains which run, whether it lives, and what follows when it does not.

The lease of attempt n on a run is an object that one process alone can create. Next to it lie its heartbeat, rewritten
while its owner lives, and its end, written when the attempt is over without a result, with the reason. All three lie
in the run's folder `claims` (`RunFolder`), a name older than the word lease.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import AttemptEnd, Heartbeat, LeaseRecord, Owner
from pipeline.records.result import Result, Retry, Summary
from pipeline.runtime.process_identity import boot_id, host_name, process_started
from pipeline.store.objects import RunFolder, Store
from pipeline.training.attempt_time import device_seconds

BEAT_SECONDS = 10.0  # between heartbeats
SILENCE_SECONDS = 60.0  # without a new heartbeat, by the observer's clock, an owner counts as gone
MAX_FAILURES = 3  # attempts that failed, after which a run has crashed
FAILURE_KINDS = ("died", "failed")  # ends that are the run's own fault: it ended its process, or raised an error


@dataclass(frozen=True)
class Attempts:
    """The attempts on one run, as far as the store knows them."""

    numbers: tuple[int, ...]  # ascending
    ended: tuple[int, ...]  # those that were ended without a result

    @property
    def last(self) -> int:
        """The number of the last attempt; 0 when there is none."""
        return self.numbers[-1] if self.numbers else 0

    @property
    def open(self) -> bool:
        """Whether a process may still train the run."""
        return bool(self.numbers) and self.last not in self.ended


class LeaseLost(RuntimeError):
    """Another process has taken the run over: nothing that this one computes may be written."""


class Released(RuntimeError):
    """This process was asked to go: the runs are saved, and others go on with them."""


def this_process(fleet: str = "", rank: int = 0) -> Owner:
    """This process as an owner of leases, with its fleet and its rank there; no two calls give equal owners."""
    return Owner(
        token=uuid4().hex,
        host=host_name(),
        boot=boot_id(),
        pid=os.getpid(),
        started=process_started(os.getpid()) or "",
        fleet=fleet,
        rank=rank,
    )


def attempts(store: Store, run: RunFolder) -> Attempts:
    """The attempts on a run."""
    names = [name.split(".") for name in store.names(run.leases)]
    numbers = sorted(int(parts[0]) for parts in names if parts[1:] == ["json"])
    return Attempts(tuple(numbers), tuple(int(parts[0]) for parts in names if parts[1:] == ["end", "json"]))


class Lease:
    """The right of this process to train a run; inside its `with` block a thread writes heartbeats.

    Leaving the block without a result ends the attempt, so that the next process need not wait.
    """

    def __init__(self, store: Store, experiment: Experiment, attempt: int, owner: Owner):
        self.store, self.experiment, self.attempt, self.owner = store, experiment, attempt, owner
        self.run = RunFolder(experiment.id)
        self.finished = False  # set once the run has its result
        self._progress: dict[str, Any] = {}  # fields of the heartbeat
        self._within: dict[str, Any] = {}  # those about the epoch at work
        self._beats = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_heartbeats, name=f"heartbeat {experiment.id}", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._stop.set()
        self._thread.join()
        if not self.finished and not isinstance(error, LeaseLost):
            self.end("released", repr(error) if error else "left unfinished")

    @contextmanager
    def blame_run(self) -> Iterator[None]:
        """An error raised inside ends the attempt as failed, unless it is of the store, the machine or the data."""
        try:
            yield
        except (LeaseLost, Released, OSError, UserError):
            raise
        except Exception as error:
            self.end("failed", repr(error))
            raise

    def end(self, how: str, why: str) -> None:
        """Record that this attempt is over and has no result; of several ends the first stands."""
        end_attempt(self.store, self.run, self.attempt, how, why)

    def progress(self, epoch: int, seconds: float) -> None:
        """Tell observers how many epochs are done and how many seconds the last one took, with the next heartbeat."""
        self._progress = {"epoch": epoch, "epochs": self.experiment.recipe.epochs, "epoch_seconds": seconds}
        self._within = {}

    def within_epoch(self, epoch: int, images: int, seconds: float) -> None:
        """Tell them, with the next heartbeat that is due, how many images of the epoch after `epoch` lie behind, and
        from the seconds that they took how fast that is."""
        rate = {"images_per_second": round(images / seconds, 1)} if seconds > 0 else {}
        self._within = {"epoch": epoch, "epochs": self.experiment.recipe.epochs, "images": images, **rate}

    def check(self) -> None:
        """Raise LeaseLost when another process has taken the run over, as happens to one that slept for a minute."""
        if self.store.exists(self.run.lease(self.attempt + 1)):
            raise LeaseLost(f"attempt {self.attempt} on {self.run.id} was taken over")

    def beat(self) -> None:
        """Rewrite the heartbeat."""
        self._beats += 1
        beat = Heartbeat(beat=self._beats, at=_now(), **self._progress | self._within)
        self.store.write_json(self.run.heartbeat(self.attempt), beat.plain())

    def _write_heartbeats(self) -> None:
        written, due = {}, 0.0
        while not self._stop.wait(0.5):
            # progress is written after a second, so that a run of seconds can be watched too
            if time.monotonic() < due and (self._progress == written or time.monotonic() < due - BEAT_SECONDS + 1):
                continue
            written, due = self._progress, time.monotonic() + BEAT_SECONDS
            try:
                self.beat()
            except OSError:  # the store has retried; a missed heartbeat must not end the run
                continue


class LeaseObserver:
    """Tells whether owners live; remembers, by its own clock, when each heartbeat last changed."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic):
        self.store, self._clock = store, clock
        self._seen: dict[str, tuple[bytes | None, float]] = {}

    def alive(self, run: RunFolder, attempt: int) -> bool:
        """Whether the owner of this open attempt still trains the run."""
        owner = self.store.find_record(LeaseRecord, run.lease(attempt))
        if owner is None or owner_exited(owner):
            return False
        path = run.heartbeat(attempt)
        beat, now = self.store.find(path), self._clock()
        before = self._seen.get(path)
        if before is None or before[0] != beat:
            self._seen[path] = (beat, now)
            return True
        return now - before[1] < SILENCE_SECONDS


def is_local(store: Store, run: RunFolder) -> bool:
    """Whether the owner of the last lease is a process of this host, so that its end shows at once."""
    owner = store.find_record(LeaseRecord, run.lease(attempts(store, run).last))
    return owner is not None and _is_on_this_host(owner)


def owner_exited(owner: Owner) -> bool:
    """Whether the owner's process is known to have ended: it ran on this host since the last boot, and is gone."""
    return _is_on_this_host(owner) and process_started(owner.pid) != owner.started


def _is_on_this_host(owner: Owner) -> bool:
    """By host name and boot: names alone repeat between machines."""
    return (owner.host, owner.boot) == (host_name(), boot_id())


def acquire(
    store: Store, experiments: Iterable[Experiment], most: int, owner: Owner, observer: LeaseObserver
) -> tuple[list[Lease], bool]:
    """Up to `most` leases on experiments without a result that no living process trains; and whether all have one.

    A run whose attempts failed MAX_FAILURES times gets the result "crashed" here.
    """
    acquired: list[Lease] = []
    all_have_results = True
    for experiment in experiments:
        run = RunFolder(experiment.id)
        if store.exists(run.result):
            continue
        found = attempts(store, run)
        if found.open and observer.alive(run, found.last):
            all_have_results = False
            continue
        if len(causes := failures(store, run, found)) >= MAX_FAILURES:
            record_crash(store, experiment, found.last, causes)
            continue
        all_have_results = False
        number = found.last + 1
        record = LeaseRecord(**owner.plain(), attempt=number, at=_now())
        if store.create_json(run.lease(number), record.plain()):
            acquired.append(Lease(store, experiment, number, owner))
            if len(acquired) == most:
                break
    return acquired, all_have_results


def end_attempt(store: Store, run: RunFolder, attempt: int, how: str, why: str) -> None:
    """Record that an attempt is over without a result: released, died, failed or settled. The first record stands."""
    store.create_json(run.attempt_end(attempt), AttemptEnd(how=how, why=why, at=_now()).plain())


def failures(store: Store, run: RunFolder, found: Attempts) -> list[str]:
    """The reasons of attempts since the last `strive retry` that ended by the run's own fault."""
    retried = store.find_record(Retry, run.retry)
    after = retried.after if retried else 0
    ends = [store.read_record(AttemptEnd, run.attempt_end(n)) for n in found.ended if n > after]
    return [end.why for end in ends if end.how in FAILURE_KINDS]


def failure_reason(store: Store, run: RunFolder) -> str:
    """Why the last attempt on a run ended without a result, for an error message."""
    end = store.find_record(AttemptEnd, run.attempt_end(attempts(store, run).last))
    return end.why if end else "its process ended without giving a reason"


def record_worker_death(store: Store, experiments: Iterable[Experiment], fleet: str, rank: int, why: str) -> None:
    """Record that a worker's process died of the runs it was training, also where another has taken them over since."""
    for experiment in experiments:
        run = RunFolder(experiment.id)
        if store.exists(run.result):
            continue
        found = attempts(store, run)
        for number in set(found.numbers) - set(found.ended):
            owner = store.read_record(LeaseRecord, run.lease(number))
            if (owner.fleet, owner.rank) == (fleet, rank):
                end_attempt(store, run, number, "died", why)


def record_crash(store: Store, experiment: Experiment, attempt: int, causes: list[str]) -> None:
    """Write the result of a run that failed too often, `attempt` being its last; all its device-seconds are wasted."""
    run = RunFolder(experiment.id)
    wasted = sum(device_seconds(store, run, number) for number in range(1, attempt + 1))
    result = Result(
        experiment_id=experiment.id,
        outcome="crashed",
        why=tuple(causes),
        attempt=attempt,
        summary=Summary(device_seconds=0.0, wasted_seconds=round(wasted, 3)),
    )
    store.create_record(run.result, result)


def retry(store: Store, run: RunFolder) -> bool:
    """Take away the result of a run that crashed, diverged or did not learn; False where it has none, or is done."""
    result = store.find_record(Result, run.result)
    if result is None or result.outcome == "done":
        return False
    last = attempts(store, run).last
    end_attempt(store, run, last, "settled", result.outcome)
    store.write_json(run.retry, Retry(last, _now(), store.read_json(run.result)).plain())
    store.delete(run.result)
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
