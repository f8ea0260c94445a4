"""The owners of leases: this process as one, and whether another still lives."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any
from uuid import uuid4

from pipeline.records.attempt import LeaseRecord, Owner
from pipeline.runtime.process_identity import boot_id, host_name, process_started
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.store.standings import Begun, is_key, mark, process_mark
from pipeline.training.attempts import attempts

SILENCE_SECONDS = 60.0  # without a new heartbeat, by the observer's clock, an owner counts as gone


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


class LeaseObserver:
    """Tells whether owners live; remembers, by its own clock, when each heartbeat last changed.

    Silence counts from the last outage of the store that this process has seen: none could be written in it.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic):
        self.store, self._clock = store, clock
        self._seen: dict[str, tuple[tuple[Any, int], float]] = {}  # sign of life, outages before it; since when

    def alive(self, run: RunFolder, attempt: int) -> bool:
        """Whether the owner of this open attempt still trains the run."""
        owner = self.store.find_record(LeaseRecord, run.lease(attempt))
        if owner is None or owner_exited(owner):
            return False
        path = run.heartbeat(attempt)
        return self._beats(path, self.store.find(path))

    def is_listed_alive(self, begun: Begun) -> bool:
        """Whether the owner of an attempt still trains the run, as far as a listing shows: without a request."""
        if begun.host == _here() and _has_ended(begun):
            return False
        return self._beats(begun.path, begun.stamp)

    def listed_alive(self, live: Mapping[str, Begun]) -> set[str]:
        """The runs, of all that a listing shows, whose owners live; others that were seen earlier are forgotten."""
        listed = {begun.path for begun in live.values()}
        self._seen = {path: seen for path, seen in self._seen.items() if path in listed or not is_key(path)}
        return {id for id, begun in live.items() if self.is_listed_alive(begun)}

    def _beats(self, path: str, sign: Any) -> bool:
        """Whether this sign of life has changed lately."""
        beat, now = (sign, self.store.outage.ended), self._clock()
        before = self._seen.get(path)
        if before is None or before[0] != beat:
            self._seen[path] = (beat, now)
            return True
        return now - before[1] < SILENCE_SECONDS


@cache
def _here() -> str:
    return mark(host_name(), boot_id())


def is_local(store: Store, run: RunFolder) -> bool:
    """Whether the owner of the last lease is a process of this host, so that its end shows at once."""
    owner = store.find_record(LeaseRecord, run.lease(attempts(store, run).last))
    return owner is not None and _is_on_this_host(owner)


def owner_exited(owner: Owner) -> bool:
    """Whether the owner's process is known to have ended: it ran on this host since the last boot, and is gone."""
    with suppress(PermissionError):  # of another user, and hidden: heartbeats tell whether it lives
        return _is_on_this_host(owner) and process_started(owner.pid) != owner.started
    return False


def _has_ended(begun: Begun) -> bool:
    """The same of a process of this host, as a listing shows it."""
    with suppress(PermissionError):
        return begun.process != process_mark(begun.pid, process_started(begun.pid) or "")
    return False


def _is_on_this_host(owner: Owner) -> bool:
    """By host name and boot: names alone repeat between machines."""
    return (owner.host, owner.boot) == (host_name(), boot_id())
