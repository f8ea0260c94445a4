"""A store in memory that counts the requests that S3 would get, delays each, and can refuse those beyond a limit."""

import random
from collections import Counter
from collections.abc import Callable
from copy import copy
from math import ceil

from pipeline.store.faults import Fault
from pipeline.store.stamp import Stamp

PAGE = 1000  # keys per LIST
PIECE = 64 << 20  # bytes per GET of a large object
READS = ("GET", "HEAD")


class SlowDown(OSError):
    """What the store raises in place of S3's answer 503 to too many requests."""


class Limits:
    """Limits of requests per second: one for READS, one for all other kinds together."""

    def __init__(self, clock: Callable[[], float], reads: float, others: float):
        self._clock, self._most = clock, {True: reads, False: others}
        self._second, self._seen = 0, Counter()

    def insist(self, kind: str) -> None:
        """Count a request; SlowDown if its limit for the current second is exceeded."""
        if int(self._clock()) != self._second:
            self._second, self._seen = int(self._clock()), Counter()
        self._seen[kind in READS] += 1
        if self._seen[kind in READS] > self._most[kind in READS]:
            raise SlowDown("503 SlowDown")


class CountedBackend:
    """A backend of `Store` that keeps its objects in nested dictionaries and counts the requests by kind in `requests`.

    `wait` sleeps for so many seconds and `clock` gives the time in seconds. `latency` is the mean time of a request in
    seconds; each takes between half and one and a half times as long, drawn with `seed`.
    """

    url = "memory://"

    def __init__(self, wait: Callable[[float], None], clock: Callable[[], float], latency: float = 0.03, seed: int = 0):
        self.requests: Counter[str] = Counter()  # of all views together
        self.mine: Counter[str] = Counter()  # of this view
        self.limits: Limits | None = None
        self.on_write: Callable[[str], None] = lambda path: None
        self._wait, self._clock, self._latency = wait, clock, latency
        self._random = random.Random(seed)
        self._top: dict = {}  # folders in folders, with (bytes, Stamp) of each object
        self._names: dict[str, dict[tuple[str, str], str]] = {}  # by prefix: relative paths, by (folder, name)
        self._listings: dict[str, list[tuple[str, Stamp]]] = {}  # of several pages, by number

    def view(self) -> "CountedBackend":
        """The same store with a separate count of requests, `mine`, for one user."""
        other = copy(self)
        other.mine = Counter()
        return other

    def address(self, path: str) -> str:
        return f"memory://{path}"

    def get(self, path: str) -> bytes:
        return self._answer("GET", lambda: self._object(path))

    def get_buffer(self, path: str) -> bytearray:
        data = self._answer("HEAD", lambda: self._object(path))
        for _ in range(ceil(len(data) / PIECE)):
            self._answer("GET", lambda: None)
        return bytearray(data)

    def put(self, path: str, data: bytes) -> None:
        self._answer("PUT", lambda: self._place(path, data))

    def create(self, path: str, data: bytes | bytearray) -> None:
        def place() -> None:
            if self._has(path):
                raise FileExistsError(path)
            self._place(path, data)

        self._answer("PUT", place)

    def exists(self, path: str) -> bool:
        return self._answer("HEAD", lambda: self._has(path))

    def page(self, prefix: str, after: str) -> tuple[dict[str, Stamp], str]:
        return self._answer("LIST", lambda: self._page(prefix, after))

    def folders(self, prefix: str, after: str) -> tuple[set[str], str]:
        names = sorted(name for name, what in self._at(prefix).items() if isinstance(what, dict))
        begin = int(after or 0)
        more = str(begin + PAGE) if begin + PAGE < len(names) else ""
        return self._answer("LIST", lambda: (set(names[begin : begin + PAGE]), more))

    def delete(self, path: str) -> None:
        self._answer("DELETE", lambda: self._folder(path).pop(path.rpartition("/")[2], None))

    def folders_two_below(self, top: str, name: str) -> list[str]:
        """The paths <x>/`name`/<y> of all folders below `top`, without counting a request."""
        return [f"{one}/{name}/{below}" for one, folder in self._at(top).items() for below in folder.get(name, {})]

    def fault(self, error: Exception) -> Fault:
        return Fault("away" if isinstance(error, SlowDown) else "refused", str(error))

    def _page(self, prefix: str, after: str) -> tuple[dict[str, Stamp], str]:
        """One page of a listing; later pages show the state at the time of the first."""
        listing, _, begin = after.partition(" ")
        if not after:
            listing = str(len(self._listings))
            self._listings[listing] = self._below(prefix)
        found, end = self._listings[listing], int(begin or 0) + PAGE
        more = f"{listing} {end}" if end < len(found) else ""
        if not more:
            self._listings[listing] = []
        return dict(found[end - PAGE : end]), more

    def _below(self, prefix: str) -> list[tuple[str, Stamp]]:
        """All objects below a prefix, by their paths relative to it.

        Each path is one string for all listings, because a thousand simulated workers keep them.
        """
        known, found, folders = self._names.setdefault(prefix, {}), [], [("", self._at(prefix))]
        for path, folder in folders:
            for name, what in folder.items():
                if isinstance(what, tuple):
                    found.append((known.get((path, name)) or known.setdefault((path, name), path + name), what[1]))
                else:
                    folders.append((f"{path}{name}/", what))
        return found

    def _answer(self, kind: str, do: Callable):
        """Count a request and carry it out now; its answer or error arrives after the latency."""
        self.requests[kind] += 1
        self.mine[kind] += 1
        try:
            if self.limits:
                self.limits.insist(kind)
            return do()
        except SlowDown:
            self.requests["503"] += 1
            raise
        finally:
            self._wait(self._latency * self._random.uniform(0.5, 1.5))

    def _object(self, path: str) -> bytes:
        if not self._has(path):
            raise FileNotFoundError(path)
        return self._folder(path)[path.rpartition("/")[2]][0]

    def _has(self, path: str) -> bool:
        return isinstance(self._folder(path).get(path.rpartition("/")[2]), tuple)

    def _place(self, path: str, data: bytes | bytearray) -> None:
        folder = self._top
        for name in path.split("/")[:-1]:
            folder = folder.setdefault(name, {})
        folder[path.rpartition("/")[2]] = (bytes(data), Stamp(len(data), self._clock()))
        self.on_write(path)

    def _folder(self, path: str) -> dict:
        return self._at(path.rpartition("/")[0])

    def _at(self, prefix: str) -> dict:
        folder = self._top
        for name in filter(None, prefix.split("/")):
            folder = folder.get(name, {})
            if isinstance(folder, tuple):
                return {}
        return folder
