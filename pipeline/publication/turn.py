"""Publishing in turn: one process at a time writes the stable names of a study. The others wait for it.

The turn is an object that one process alone can create, rewritten while its owner lives. One whose process is known to
have ended, or that stays the same for a minute, is superseded by the next number.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from pipeline.records.attempt import LeaseRecord
from pipeline.records.record import DamagedRecord
from pipeline.store.objects import Store
from pipeline.store.paths import StudyFolder
from pipeline.training.leases import LeaseLost
from pipeline.training.owners import SILENCE_SECONDS, owner_exited, this_process

BEAT_SECONDS = 10.0
LOOK_SECONDS = 0.1  # between looks at the turn of another
_random = random.SystemRandom()


class Turn:
    """The right to write the stable names of a study."""

    def __init__(self, store: Store, study: str, number: int):
        self.store, self.top, self.number = store, StudyFolder(study).object("publishing"), number
        self.study, self._owner = study, this_process()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None  # rewrites the object

    def take(self, superseded: list[int]) -> bool:
        """Whether this process alone has the turn now, those left out that it supersedes."""
        if not self.store.create(self._path, self._record()):
            return False
        if _numbers(self.store, self.top) != sorted({*superseded, self.number}):
            self.store.delete(self._path)
            return False
        return True

    def check(self) -> None:
        """Raise LeaseLost where another process took the turn over, as happens to one that slept for a minute."""
        numbers = _numbers(self.store, self.top)
        if self.number not in numbers or max(numbers) != self.number:
            raise LeaseLost(f"another process publishes {self.study} in {self.store.url} now")

    def keep(self) -> None:
        """Rewrite the object, in a thread of its own, until `end` or until another process has superseded it."""
        while not self._stop.wait(BEAT_SECONDS):
            with suppress(OSError):
                if not self.store.exists(self._path):  # written anew, it would count as a turn again
                    return
                self.store.write(self._path, self._record())

    def begin(self) -> None:
        """Keep the turn until `end`."""
        self._thread = threading.Thread(target=self.keep, name=f"turn of {self.study}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Give the turn up."""
        self._stop.set()
        if self._thread:
            self._thread.join()  # a write on its way would bring back what is deleted here
        self.store.delete(self._path)

    @property
    def _path(self) -> str:
        return f"{self.top}/{self.number}.json"

    def _record(self) -> bytes:
        at = datetime.now(UTC).isoformat()
        return LeaseRecord(**self._owner.plain(), attempt=self.number, at=at).to_json()


@contextmanager
def turn(store: Store, study: str) -> Iterator[Turn]:
    """Wait for the study's turn and hold it. Leaving gives it up."""
    held = _taken(store, study)
    held.begin()
    try:
        yield held
    finally:
        held.end()


def is_held(store: Store, study: str) -> bool:
    """Whether a process may be writing the study's stable names now."""
    top = StudyFolder(study).object("publishing")
    owners = [store.find(f"{top}/{number}.json") for number in _numbers(store, top)]
    return any(data is not None and not owner_exited(LeaseRecord.from_json(data, top)) for data in owners)


def _taken(store: Store, study: str) -> Turn:
    seen: dict[int, tuple[bytes | None, float]] = {}
    while True:
        held = Turn(store, study, 1)
        numbers = _numbers(store, held.top)
        held.number = max(numbers, default=0) + 1
        if all(_is_dead(store, f"{held.top}/{number}.json", seen, number) for number in numbers) and held.take(numbers):
            for number in numbers:
                store.delete(f"{held.top}/{number}.json")
            return held
        time.sleep(LOOK_SECONDS * (0.5 + _random.random()))


def _is_dead(store: Store, path: str, seen: dict[int, tuple[bytes | None, float]], number: int) -> bool:
    data, now = store.find(path), time.monotonic()
    if data is None:  # given up just now: look again
        return False
    with suppress(DamagedRecord):
        if owner_exited(LeaseRecord.from_json(data, path)):
            return True
    if number not in seen or seen[number][0] != data:
        seen[number] = (data, now)
    return now - seen[number][1] >= SILENCE_SECONDS


def _numbers(store: Store, top: str) -> list[int]:
    return sorted(
        int(name.removesuffix(".json")) for name in store.names(top) if name.removesuffix(".json").isdecimal()
    )
