"""The store: whole objects in a folder or a bucket, waited for while it is away."""

import hashlib
import json
import random
import time
from collections.abc import Callable
from mmap import mmap
from typing import Any, Protocol, TypeVar

from pipeline.errors import StoreAway, StoreRefused, UserError
from pipeline.records.record import DamagedRecord, Record, to_json
from pipeline.runtime.settings import patience
from pipeline.store.faults import Fault
from pipeline.store.outage import Outage
from pipeline.store.replica import MARK, Replica
from pipeline.store.s3_import import bucket
from pipeline.store.stamp import Stamp

T = TypeVar("T")
R = TypeVar("R", bound=Record)
Buffer = bytearray | mmap  # bytes that may be changed in memory; the object in the store stays as it is
AT_ONCE = 32  # objects that are read in parallel where many are wanted
WAITS = (0.1, 0.4, 1.6, 6.4)  # seconds between the tries of one call; the last is repeated while a store is away
VARIED = 0.25  # share by which these differ from call to call: a thousand that were refused at once come back scattered
_random = random.SystemRandom()  # unlike `random`, no caller seeds it and no forked process copies its state
LOOK_SECONDS = 30.0  # that a look waits for a store; with the timeout of the last try it gives up within 60
BRIEF_SECONDS = 10.0  # that something waits which can be done later


class Backend(Protocol):
    """What a kind of store must do; each call is atomic: it happens as a whole or not at all."""

    @property
    def url(self) -> str: ...
    def address(self, path: str) -> str: ...
    def get(self, path: str) -> bytes: ...
    def get_buffer(self, path: str) -> "Buffer": ...
    def put(self, path: str, data: bytes) -> None: ...
    def create(self, path: str, data: bytes | bytearray) -> None: ...
    def exists(self, path: str) -> bool: ...
    def page(self, prefix: str, after: str) -> tuple[dict[str, Stamp], str]: ...
    def folders(self, prefix: str, after: str) -> tuple[set[str], str]: ...
    def delete(self, path: str) -> None: ...
    def fault(self, error: Exception) -> Fault: ...


class Store:
    """Objects by path. A call is tried again, here and nowhere else, while the store is away.

    Raises StoreAway once it has not answered for `patience` seconds, and StoreRefused where it answers and refuses.
    """

    def __init__(
        self,
        backend: Backend,
        transient: tuple[type[Exception], ...] = (),
        patience: float = LOOK_SECONDS,
        outage: Outage | None = None,
    ):
        self.backend, self.patience = backend, patience
        self.outage = outage or Outage(backend.url)
        self._transient = (OSError, *transient)

    def within(self, seconds: float) -> "Store":
        """This store with another patience; both know of the same outages."""
        return Store(self.backend, self._transient, seconds, self.outage)

    @property
    def url(self) -> str:
        return self.backend.url

    def read(self, path: str) -> bytes:
        """The object's bytes; FileNotFoundError where there is none."""
        return self._retry(lambda: self.backend.get(path))

    def read_buffer(self, path: str) -> Buffer:
        """A large object's bytes; in a folder, all processes that read them share the same memory."""
        return self._retry(lambda: self.backend.get_buffer(path))

    def find(self, path: str) -> bytes | None:
        """The object's bytes, or None."""
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        """Write the object or replace it; readers see the old or the new one, never a part."""
        self._retry(lambda: self.backend.put(path, data))

    def create(self, path: str, data: bytes | bytearray) -> bool:
        """Write the object where there is none; whether the object there now has these bytes.

        Bytes are compared because a write whose answer was lost is tried again, and then finds its own object.
        """
        try:
            self._retry(lambda: self.backend.create(path, data))
            return True
        except FileExistsError:
            return self.find(path) == data

    def exists(self, path: str) -> bool:
        return self._retry(lambda: self.backend.exists(path))

    def names(self, prefix: str) -> list[str]:
        """Every object below the folder `prefix`, as sorted paths relative to it."""
        return sorted(self.stamps(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """The length in bytes of every object below the folder `prefix`, by path relative to it."""
        return {name: stamp.bytes for name, stamp in self.stamps(prefix).items()}

    def stamps(self, prefix: str) -> dict[str, Stamp]:
        """What a listing tells of every object below the folder `prefix`, by path relative to it; of a bucket a request
        for every 1,000 keys."""
        return self._all(lambda at: self.backend.page(prefix, at))

    def folders(self, prefix: str) -> set[str]:
        """The names of the folders directly below the folder `prefix`; of a bucket a request for every 1,000."""
        return self._all(lambda at: self.backend.folders(prefix, at))

    def _all(self, page: Callable[[str], tuple[Any, str]]) -> Any:
        """Every page of a listing, put together; each is tried again by itself."""
        found, after = self._retry(lambda: page(""))
        while after:
            at = after
            more, after = self._retry(lambda at=at: page(at))
            found |= more
        return found

    def delete(self, path: str) -> None:
        """Delete the object where there is one."""
        self._retry(lambda: self.backend.delete(path))

    def read_json(self, path: str) -> Any:
        """The JSON at `path`; FileNotFoundError when there is none, DamagedRecord when it is not JSON."""
        return self._parsed(path, self.read(path))

    def find_json(self, path: str) -> Any | None:
        """The JSON at `path`, or None; DamagedRecord when it is not JSON."""
        data = self.find(path)
        return None if data is None else self._parsed(path, data)

    def _parsed(self, path: str, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DamagedRecord(f"{self.url_of(path)} is damaged: it is not JSON. Delete it and run again.") from error

    def read_record(self, kind: type[R], path: str) -> R:
        """The record at `path`; FileNotFoundError when there is none, DamagedRecord when it is not one of its kind."""
        return kind.from_json(self.read(path), self.url_of(path))

    def find_record(self, kind: type[R], path: str) -> R | None:
        """The record at `path`, or None; DamagedRecord when it is not one of its kind."""
        data = self.find(path)
        return None if data is None else kind.from_json(data, self.url_of(path))

    def write_json(self, path: str, value: Any) -> None:
        self.write(path, to_json(value))

    def create_json(self, path: str, value: Any) -> bool:
        return self.create(path, to_json(value))

    def write_record(self, path: str, record: Record) -> None:
        """Write the record, with its digest."""
        self.write(path, record.to_json())

    def create_record(self, path: str, record: Record) -> bool:
        """Write the record where there is no object; whether the one there now is this."""
        return self.create(path, record.to_json())

    def url_of(self, path: str = "") -> str:
        """The full address of an object, for people and other tools."""
        return self.backend.address(path).rstrip("/")

    def replica(self, name: str) -> "Store":
        """A store inside this one for runs that are trained again."""
        return Store(Replica(self.backend, name), self._transient, self.patience, self.outage)

    def _retry(self, call: Callable[[], T]) -> T:
        began, tries = time.monotonic(), 0
        if self.outage.rests() and self.outage.seconds() >= self.patience:
            raise self._away()  # of many calls that wait in line, not each has to find out
        while True:
            tried_at = time.monotonic()
            try:
                answer = call()
            except (FileNotFoundError, FileExistsError, StoreRefused):
                self.outage.answered()
                raise
            except self._transient as error:
                fault = self.backend.fault(error)
                if fault.kind == "refused" or (fault.kind == "unclear" and tries >= len(WAITS)):
                    raise StoreRefused(f"the store {self.url}: {fault.cause}: {fault.remedy}") from error
                if fault.kind == "away":
                    self.outage.failed(time.monotonic() - tried_at, fault.cause)
                wait = WAITS[min(tries, len(WAITS) - 1)] * _random.uniform(1 - VARIED, 1 + VARIED)
                if fault.kind == "away":
                    left = self.patience - max(self.outage.seconds(), time.monotonic() - began)
                    if left <= 0:
                        raise self._away() from error
                    wait = min(wait, left)
            else:
                self.outage.answered()
                return answer
            tries += 1
            time.sleep(wait)

    def _away(self) -> StoreAway:
        return StoreAway(
            f"the store {self.outage.sentence()}: check that its server runs and that this machine reaches it, then "
            "run the same command again"
        )


def open_store(url: str, seconds: float | None = None) -> Store:
    """The store at `url`: a folder, file:///folder or s3://bucket/prefix. UserError for anything else.

    `seconds` is how long it is waited for when it does not answer; None: STRIVE_STORE_PATIENCE.
    """
    seconds = patience() if seconds is None else seconds
    url, _, replica = url.partition(MARK)
    if replica:
        return open_store(url, seconds).replica(replica)
    kind, separator, rest = url.partition("://")
    if kind == "s3" and separator:
        return Store(*bucket(url), seconds)
    if url.lower().startswith("s3:"):
        raise UserError(f"a bucket is written s3://bucket/prefix, not {url!r}")
    if separator and kind not in ("file", "local"):
        raise UserError(
            f"a store must be a folder or s3://bucket/prefix, not {url!r}: "
            "of other kinds it is not known that a put can be made conditional"
        )
    from pipeline.store.local import Folder

    return Store(Folder(rest if separator else url), (), seconds)


def sha256(data: bytes | Buffer) -> str:
    return hashlib.sha256(data).hexdigest()
