"""Who works on which run: attempts, heartbeats, take-over.

Attempt n on a run is the object claims/n.json, which one process alone can create. Beside it lie claims/n.beat.json,
rewritten while its owner lives, and claims/n.end.json, written when an attempt ends without a result and says why.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
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

BEAT_SECONDS = 10.0
SILENCE_SECONDS = 60.0  # without a change of the heartbeat, by the observer's clock, a claim is dead
MAX_FAILURES = 3  # ends of this kind make a run "crashed"
FAILURE_KINDS = ("died", "failed")  # the run took its process down, or raised an error


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


@dataclass(frozen=True)
class Attempts:
    """What the store holds of the attempts on one run."""

    numbers: tuple[int, ...]  # ascending
    ended: tuple[int, ...]

    @property
    def last(self) -> int:
        return self.numbers[-1] if self.numbers else 0

    @property
    def open(self) -> bool:
        """Whether somebody may be at work on the last one."""
        return bool(self.numbers) and self.last not in self.ended


class LeaseLost(RuntimeError):
    """Another process has taken this run over; nothing this one still computes may be kept."""


def attempts(store: Store, run: RunFolder) -> Attempts:
    """The attempts on a run."""
    names = [name.split(".") for name in store.names(run.claims)]
    numbers = sorted(int(parts[0]) for parts in names if parts[1:] == ["json"])
    return Attempts(tuple(numbers), tuple(int(parts[0]) for parts in names if parts[1:] == ["end", "json"]))


class Lease:
    """An attempt of ours on a run, kept alive by a thread as long as the `with` block lasts."""

    def __init__(self, store: Store, experiment: Experiment, attempt: int, owner: Owner):
        self.store, self.experiment, self.attempt, self.owner = store, experiment, attempt, owner
        self.run = RunFolder(experiment.id)
        self.running = False  # set once the run itself is at work, whose errors are then its own
        self.finished = False  # set once the run has its outcome
        self._progress: dict[str, Any] = {}  # fields of the heartbeat
        self._beats = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"heartbeat {experiment.id}", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._stop.set()
        self._thread.join()
        if not self.finished and not isinstance(error, LeaseLost):
            # a fault of the store or the machine, or data that are not there, is no fault of the run
            failed = self.running and isinstance(error, Exception) and not isinstance(error, OSError | UserError)
            self.end("failed" if failed else "released", repr(error) if error else "left unfinished")

    def end(self, how: str, why: str) -> None:
        """Say that this attempt is over and has no result."""
        end_attempt(self.store, self.run, self.attempt, how, why)

    def progress(self, epoch: int, seconds: float) -> None:
        """Tell observers how far the run is: epochs done, and seconds each takes. Free of I/O."""
        self._progress = {"epoch": epoch, "epochs": self.experiment.recipe.epochs, "epoch_seconds": seconds}

    def check(self) -> None:
        """Raise Lost when somebody has taken the run over, as happens to a process that slept too long."""
        if self.store.exists(self.run.lease(self.attempt + 1)):
            raise LeaseLost(f"attempt {self.attempt} on {self.run.id} was taken over")

    def beat(self) -> None:
        """Rewrite the heartbeat."""
        self._beats += 1
        beat = Heartbeat(beat=self._beats, at=_now(), **self._progress)
        self.store.write_json(self.run.heartbeat(self.attempt), beat.plain())

    def _live(self) -> None:
        shown, due = {}, 0.0
        while not self._stop.wait(0.5):
            # progress is shown early, so that a run of seconds can be watched too
            if time.monotonic() < due and (self._progress == shown or time.monotonic() < due - BEAT_SECONDS + 1):
                continue
            shown, due = self._progress, time.monotonic() + BEAT_SECONDS
            try:
                self.beat()
            except OSError:  # the store has retried; a missed beat must not end the run
                continue


def is_local(store: Store, run: RunFolder) -> bool:
    """Whether the last attempt's owner is a process of this host, whose life needs no minute to judge."""
    owner = store.find_record(LeaseRecord, run.lease(attempts(store, run).last))
    return owner is not None and (owner.host, owner.boot) == (host_name(), boot_id())


def end_attempt(store: Store, run: RunFolder, attempt: int, how: str, why: str) -> None:
    """Record once that an attempt is over without a result: released, died or failed."""
    store.create_json(run.attempt_end(attempt), AttemptEnd(how=how, why=why, at=_now()).plain())


class LeaseObserver:
    """An observer of claims, who remembers when each heartbeat last changed by its own clock."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic):
        self.store, self._clock = store, clock
        self._seen: dict[str, tuple[bytes | None, float]] = {}

    def alive(self, run: RunFolder, attempt: int) -> bool:
        """Whether the owner of this open attempt still works on it."""
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


def owner_exited(owner: Owner) -> bool:
    """Whether the owner's process is known to have ended: it was on this host in this boot, and is not there.

    Host names repeat between machines; a name with its boot does not.
    """
    if (owner.host, owner.boot) != (host_name(), boot_id()):
        return False
    return process_started(owner.pid) != owner.started


def acquire(
    store: Store, experiments: Iterable[Experiment], most: int, owner: Owner, watch: LeaseObserver
) -> tuple[list[Lease], bool]:
    """Up to `most` claims on experiments that have no outcome and that nobody holds; and whether all have one."""
    taken: list[Lease] = []
    settled = True
    for experiment in experiments:
        run = RunFolder(experiment.id)
        if store.exists(run.result):
            continue
        found = attempts(store, run)
        if found.open and watch.alive(run, found.last):
            settled = False
            continue
        if len(causes := failures(store, run, found)) >= MAX_FAILURES:
            record_crash(store, experiment, found.last, causes)
            continue
        settled = False
        number = found.last + 1
        record = LeaseRecord(**owner.plain(), attempt=number, at=_now())
        if store.create_json(run.lease(number), record.plain()):
            taken.append(Lease(store, experiment, number, owner))
            if len(taken) == most:
                break
    return taken, settled


def failures(store: Store, run: RunFolder, found: Attempts) -> list[str]:
    """Why attempts since the last `strive retry` ended by the run's own fault."""
    retried = store.find_record(Retry, run.retry)
    after = retried.after if retried else 0
    ends = [store.read_record(AttemptEnd, run.attempt_end(n)) for n in found.ended if n > after]
    return [end.why for end in ends if end.how in FAILURE_KINDS]


def record_worker_death(store: Store, experiments: Iterable[Experiment], fleet: str, rank: int, why: str) -> None:
    """Record that the runs which one worker of a fleet held took its process down."""
    for experiment in experiments:
        run = RunFolder(experiment.id)
        found = attempts(store, run)
        if not found.open or store.exists(run.result):
            continue
        owner = store.read_record(LeaseRecord, run.lease(found.last))
        if (owner.fleet, owner.rank) == (fleet, rank):
            end_attempt(store, run, found.last, "died", why)


def failure_reason(store: Store, run: RunFolder) -> str:
    """Why the last attempt on a run ended without a result, as far as it could say."""
    end = store.find_record(AttemptEnd, run.attempt_end(attempts(store, run).last))
    return end.why if end else "nobody has said why"


def record_crash(store: Store, experiment: Experiment, attempt: int, causes: list[str]) -> None:
    """The outcome of a run that ended its process, or failed, time after time; all that it took was wasted."""
    run = RunFolder(experiment.id)
    wasted = sum(device_seconds(store, run, number) for number in range(1, attempt + 1))
    result = Result(
        experiment_id=experiment.id,
        outcome="crashed",
        why=tuple(causes),
        attempt=attempt,
        summary=Summary(device_seconds=0.0, wasted_seconds=round(wasted, 3)),
    )
    store.create_json(run.result, result.plain())


def retry(store: Store, run: RunFolder) -> bool:
    """Make a crashed or diverged run one that is missing; False when its outcome is neither."""
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
