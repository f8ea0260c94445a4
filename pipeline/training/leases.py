"""Leases: which process trains which run, whether it lives, and what follows when it does not.

The lease of attempt n on a run is an object that one process alone can create. Next to it lie its heartbeat, rewritten
while its owner lives, and its end, written when the attempt is over without a result, with the reason. All three lie
in the run's folder `claims` (`RunFolder`), a name older than the word lease.

A store that is away ends no lease: its owner goes on and writes heartbeats again when the store is back, and an
observer who could not see the store counts the silence anew from then on. Where an observer sees the store and the
owner does not, the observer takes the run over after SILENCE_SECONDS, by the next attempt's lease. The owner looks for
such a lease when it reaches the store again, and before whatever it writes; where there is one, it stops.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

from pipeline.errors import StoreAway, UserError
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import Continued, Heartbeat, LeaseRecord, Owner
from pipeline.records.result import Result
from pipeline.store.objects import BRIEF_SECONDS, Store, to_json
from pipeline.store.paths import RunFolder
from pipeline.training.attempts import (
    MAX_FAILURES,
    NOT_THE_RUNS_FAULT,
    attempts,
    end_attempt,
    failures,
    now,
    record_crash,
)
from pipeline.training.listed import Listed
from pipeline.training.owners import LeaseObserver

BEAT_SECONDS = 10.0  # between heartbeats


class LeaseLost(RuntimeError):
    """Another process has taken the run over: nothing that this one computes may be written."""


class Released(RuntimeError):
    """This process was asked to go: the runs are saved, and others go on with them."""


class Lease:
    """The right of this process to train a run; inside its `with` block a thread writes heartbeats.

    Leaving the block without a result ends the attempt, so that the next process need not wait.
    """

    def __init__(self, store: Store, experiment: Experiment, attempt: int, owner: Owner):
        self.store, self.experiment, self.attempt, self.owner = store, experiment, attempt, owner
        self.run = RunFolder(experiment.id)
        self.finished = False  # set once the run has its result
        self.continues: Continued | None = None  # the checkpoint of an earlier attempt that this one began from
        self._brief = store.within(BRIEF_SECONDS)  # for what a later try does as well
        self._lost = False  # as the heartbeats' thread has seen
        self._progress: dict[str, Any] = {}  # fields of the heartbeat
        self._within: dict[str, Any] = {}  # those about the epoch at work
        self._beats = 0
        self._listed = Listed(self._brief, experiment.id, attempt, owner)
        self._ended = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None  # writes heartbeats

    def __enter__(self) -> "Lease":
        name = f"heartbeat {self.experiment.id}"
        self._thread = threading.Thread(target=self._write_heartbeats, name=name, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._silence()
        if self.finished or self._ended:
            return
        if isinstance(error, LeaseLost):
            return self._listed.remove()
        with suppress(StoreAway):  # then it ends by its silence
            self._end(self._brief, "released", _words(error) if error else "left unfinished")

    @contextmanager
    def blame_run(self) -> Iterator[None]:
        """An error raised inside ends the attempt as failed, unless it is of the store, the machine or the data."""
        try:
            yield
        except (LeaseLost, Released, *NOT_THE_RUNS_FAULT):
            raise
        except Exception as error:  # whatever else training raises is the run's own, noted, and raised on
            self.end("failed", repr(error))
            raise

    def end(self, how: str, why: str) -> None:
        """Record that this attempt is over and has no result; of several ends the first stands."""
        self._end(self.store, how, why)

    def _end(self, store: Store, how: str, why: str) -> None:
        self._silence()
        end_attempt(store, self.run, self.attempt, how, why)
        self._ended = True
        self._listed.leave(self._progress.get("epoch", 0))

    def finish(self, result: Result) -> None:
        """The run has its result: nothing more is written but that."""
        self.finished = True
        self._silence()
        self._listed.finish(result)

    def _silence(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def show(self) -> None:
        """Let a listing show that this run is at work, before its first heartbeat."""
        self._listed.show()

    def progress(self, epoch: int, seconds: float) -> None:
        """Tell observers how many epochs are done and how many seconds the last one took, with the next heartbeat.

        Raises LeaseLost once it was seen that another process has taken the run over.
        """
        if self._lost:
            raise self._lost_to_another()
        self._within = {}  # first: a heartbeat between the two must not go back an epoch
        self._progress = {"epoch": epoch, "epochs": self.experiment.recipe.epochs, "epoch_seconds": seconds}

    def within_epoch(self, epoch: int, images: int, seconds: float) -> None:
        """Tell them, with the next heartbeat that is due, how many images of the epoch after `epoch` lie behind, and
        from the seconds that they took how fast that is."""
        rate = {"images_per_second": round(images / seconds, 1)} if seconds > 0 else {}
        self._within = {"epoch": epoch, "epochs": self.experiment.recipe.epochs, "images": images, **rate}

    def check(self, brief: bool = False) -> None:
        """Raise LeaseLost when another process has taken the run over, as happens to one that slept for a minute.

        StoreAway where the store is away for longer than it is waited for; `brief` waits a few seconds.
        """
        if self._lost or self._taken_over(self._brief if brief else self.store):
            raise self._lost_to_another()

    def _taken_over(self, store: Store) -> bool:
        return store.exists(self.run.lease(self.attempt + 1))

    def _lost_to_another(self) -> LeaseLost:
        return LeaseLost(f"attempt {self.attempt} on {self.run.id} was taken over")

    def beat(self) -> None:
        """Rewrite the heartbeat, and the key by which a listing shows that it was."""
        self._beats += 1
        fields = self._progress | self._within
        data = to_json(Heartbeat(beat=self._beats, at=now(), **fields).plain())
        self._brief.write(self.run.heartbeat(self.attempt), data)
        self._listed.show(data, fields.get("epoch", 0))

    def _write_heartbeats(self) -> None:
        written, beaten, soon = None, -BEAT_SECONDS, 1.0
        outages = self._brief.outage.ended
        while not self._stop.wait(0.5):
            past = time.monotonic() - beaten
            # progress is written soon at first, so that a run of seconds can be watched too, and later with the rest
            if past < BEAT_SECONDS and (self._progress == written or past < soon):
                continue
            soon = min(2 * soon, BEAT_SECONDS) if written is not None and past < BEAT_SECONDS else soon
            written, beaten = self._progress, time.monotonic()
            try:
                self.beat()
                if self._brief.outage.ended != outages:  # others may have seen the store meanwhile
                    self._lost = self._taken_over(self._brief)
                    outages = self._brief.outage.ended
            except OSError:  # a missed heartbeat must not end the run; the next may be written
                continue


def acquire(
    store: Store, experiments: Iterable[Experiment], most: int, owner: Owner, observer: LeaseObserver
) -> tuple[list[Lease], bool]:
    """Up to `most` leases on experiments without a result that no living process trains; and whether all have one.

    A run whose attempts failed MAX_FAILURES times gets the result "crashed" here.
    """
    acquired: list[Lease] = []
    all_have_results = True
    for experiment in experiments:
        taken = take(store, experiment, owner, observer.alive)
        all_have_results = all_have_results and taken == "settled"
        if isinstance(taken, Lease):
            acquired.append(taken)
            if len(acquired) == most:
                break
    return acquired, all_have_results


def take(
    store: Store, experiment: Experiment, owner: Owner, alive: Callable[[RunFolder, int], bool]
) -> Lease | Literal["settled", "held"]:
    """A lease on the experiment, or why there is none: it has its result, or `alive` says that a process trains it.

    A run whose attempts failed MAX_FAILURES times gets the result "crashed" here.
    """
    run = RunFolder(experiment.id)
    if store.exists(run.result):
        return "settled"
    found = attempts(store, run)
    if found.open and alive(run, found.last):
        return "held"
    if len(causes := failures(store, run, found)) >= MAX_FAILURES:
        record_crash(store, experiment, found.last, causes)
        return "settled"
    return create(store, experiment, found.last + 1, owner) or "held"


def create(store: Store, experiment: Experiment, attempt: int, owner: Owner) -> Lease | None:
    """The lease of this attempt, unless another process has it."""
    record = LeaseRecord(**owner.plain(), attempt=attempt, at=now())
    if not store.create_json(RunFolder(experiment.id).lease(attempt), record.plain()):
        return None
    lease = Lease(store, experiment, attempt, owner)
    lease.show()
    return lease


def _words(error: BaseException) -> str:
    """What an error says: a sentence of ours as it stands."""
    return str(error) if isinstance(error, OSError | UserError) and str(error) else repr(error)
