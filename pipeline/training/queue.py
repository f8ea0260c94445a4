"""Which run a worker trains next, where many workers share many runs: from one listing, not run by run.

Workers of a fleet begin at different places of the list, and choose near its front later, where lies what is worth
most: one alone takes the first, a thousand any of the first thousand. Runs that were begun and that no worker trains
come before all others. A lease decides who has a run; who comes second looks elsewhere.
"""

import random
import time
from collections.abc import Sequence

from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import Owner
from pipeline.store import standings
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.store.standings import Standings
from pipeline.training import leases
from pipeline.training.leases import Lease
from pipeline.training.owners import LeaseObserver

LISTED_SECONDS = 5.0  # that a listing is used again
WIDER = 4  # times as many runs from the front, among which one is chosen, after each that another had
MISSES = 3  # runs that others had, after which a new listing is worth its requests
ASIDE_SECONDS = 15.0  # that a run is left alone which another had, though the listing did not show it
FIRST_PAUSE, LAST_PAUSE = 1.0, 10.0  # seconds between looks of a worker for which there is nothing to do


class Queue:
    """The runs to train as one worker sees them."""

    def __init__(self, store: Store, owner: Owner, observer: LeaseObserver):
        self.store, self.owner, self._observer = store, owner, observer
        self._random = random.Random(owner.token)
        self._listed = Standings()
        self._listed_at = -LISTED_SECONDS
        self._ended: set[str] = set()  # runs that have their result, by the listing
        self._alive: set[str] = set()  # those that are being trained
        self._settled: set[str] = set()  # those that have their result, though the listing did not say so
        self._mine: set[str] = set()  # taken since the listing
        self._aside: dict[str, float] = {}  # until when a run is left alone
        self._others = 1  # workers that were seen at once, at most
        self._near = 1  # so many runs from the front one is chosen among: as many as there are workers, or more
        self._pause = FIRST_PAUSE
        self._first = True

    def take(self, experiments: Sequence[Experiment], most: int) -> tuple[list[Lease], bool]:
        """Up to `most` leases on experiments without a result that no living process trains; and whether all have one.

        Of the first worker of a fleet that looks the first experiments, of the second the next, and so on.
        """
        fresh = time.monotonic() - self._listed_at >= LISTED_SECONDS
        if fresh:
            self._list(experiments)
        taken, misses = self._from_listing(experiments, most)
        while len(taken) < most and (misses >= MISSES or not (taken or fresh)):  # what is said of all is not old
            self._list(experiments)
            fresh = True
            more, misses = self._from_listing(experiments, most - len(taken))
            taken += more
        if taken:
            self._pause = FIRST_PAUSE
        return taken, not taken and all(self._has_result(e.id) for e in experiments)

    def pause(self) -> float:
        """Seconds to the next look after one that found nothing: more and more."""
        self._pause = min(1.5 * self._pause, LAST_PAUSE)
        return self._pause * self._random.uniform(0.5, 1.0)

    def _list(self, experiments: Sequence[Experiment]) -> None:
        self._listed = standings.read(self.store)
        self._listed_at = time.monotonic()
        self._ended = {e.id for e in experiments if e.id in self._listed.ended}
        self._listed.ended.clear()  # thousands of names
        self._alive = self._observer.listed_alive(self._listed.live)
        self._near = self._others = max(self._others, len(self._alive))
        self._mine.clear()

    def _from_listing(self, experiments: Sequence[Experiment], most: int) -> tuple[list[Lease], int]:
        """Leases, and in how many attempts at one another was first; no more than MISSES."""
        todo, taken, misses = [e for e in experiments if self._is_open(e.id)], [], 0
        todo.sort(key=lambda e: e.id not in self._listed.begun)  # what was stopped goes on before others begin
        at = self._place(len(todo), most)
        while todo and misses < MISSES and len(taken) < most:
            this = todo.pop(at % len(todo))
            lease = self._try(this)
            if lease:
                taken.append(lease)
                self._mine.add(this.id)
            else:
                misses += 1
                self._near = min(WIDER * self._near, len(experiments))
                at = self._place(len(todo), most)
        return taken, misses

    def _is_open(self, id: str) -> bool:
        if self._has_result(id) or id in self._alive or id in self._mine:
            return False
        return self._aside.get(id, 0.0) <= time.monotonic()

    def _has_result(self, id: str) -> bool:
        return id in self._ended or id in self._settled

    def _place(self, count: int, most: int) -> int:
        """Where to begin in a list of so many."""
        first, self._first = self._first, False
        if first and self.owner.fleet:
            return self.owner.rank * most
        return self._random.randrange(max(1, min(count, self._near)))

    def _try(self, this: Experiment) -> Lease | None:
        """The lease on a run that the listing shows as open, unless another is first or it has its result."""
        id, run = this.id, RunFolder(this.id)
        has_begun = id in self._listed.begun or id in self._aside or not self._listed.whole
        self._aside[id] = time.monotonic() + ASIDE_SECONDS
        if has_begun:
            taken = leases.take(self.store, this, self.owner, self._lives)
        else:  # the first to create its lease has its first attempt
            settled = self.store.exists(run.result)
            taken = "settled" if settled else leases.create(self.store, this, 1, self.owner)
        if isinstance(taken, Lease):
            del self._aside[id]
            return taken
        if taken == "settled":
            self._settled.add(id)
            standings.heal(self.store, id)
        return None

    def _lives(self, run: RunFolder, attempt: int) -> bool:
        """Whether the owner of an attempt lives: by the listing, which has watched it, or by a look at it."""
        shown = self._listed.live.get(run.id)
        if shown and shown.attempt == attempt:
            return run.id in self._alive
        return self._observer.alive(run, attempt)
