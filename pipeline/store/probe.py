"""Whether a store keeps what this code relies on: what is put is there, and of several creators one wins."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from uuid import uuid4

from pipeline.errors import UserError
from pipeline.store.faults import ANOTHER
from pipeline.store.objects import Store

FOLDER = "doctor"  # of the objects that a probe makes, and deletes
ROUNDS = 30  # races; a server that looks first and writes afterwards loses at least one of these
SIZE = 4096  # bytes of each


def try_out(store: Store) -> None:
    """Put an object, put it again, which must fail, read it, delete it; UserError or StoreError otherwise."""
    path = f"{FOLDER}/{uuid4().hex}"
    won, lost = store.create(path, b"first"), store.create(path, b"second")
    found = store.read(path)
    store.delete(path)
    if not won or lost or found != b"first":
        raise _unsafe(store, "it replaced an object by a put with If-None-Match: *")


def race(store: Store, rounds: int = ROUNDS) -> None:
    """Let two writers create the same object at the same moment, again and again; UserError where both win, or none."""
    paths = [f"{FOLDER}/{uuid4().hex}" for _ in range(rounds)]
    together = Barrier(2)

    def write(name: bytes) -> list[bool]:
        return [_wins(store, path, name * SIZE, together) for path in paths]

    try:
        with ThreadPoolExecutor(2) as writers:
            one, two = writers.map(write, (b"1", b"2"))
        wrong = sum(first == second for first, second in zip(one, two, strict=True))
    finally:
        for path in paths:
            store.delete(path)
    if wrong:
        raise _unsafe(store, f"in {wrong} of {rounds} races of two writers for one object both won it, or neither did")


def _wins(store: Store, path: str, data: bytes, together: Barrier) -> bool:
    try:
        together.wait(60)
        return store.create(path, data)
    except BrokenBarrierError:  # the other has failed, and says how
        return False
    except BaseException:  # whatever it is, the other must not wait for us
        together.abort()
        raise


def _unsafe(store: Store, what: str) -> UserError:
    return UserError(
        f"the store {store.url} is not safe for several processes: {what}: {ANOTHER}, a folder or a server with "
        "conditional puts"
    )
