"""Where all runs stand, for a listing: a key for every run that has ended, and for every attempt that was begun.

The names of the keys say what a look at thousands of runs asks for. The length of an attempt's key says how many epochs
are done, and the time of its last write whether its process lives. Keys follow from the objects of the runs, are
written after them, and decide nothing: a run belongs to the process that has its lease, and has ended when it has its
result. A key that is missing is written by the next process that takes the run for open.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.records.attempt import Owner
from pipeline.records.record import Mismatch
from pipeline.records.result import Result
from pipeline.store.objects import AT_ONCE, Store
from pipeline.store.paths import RunFolder
from pipeline.store.results import find_result, read_results
from pipeline.store.stamp import Stamp

TOP = "standings"
WHOLE = "whole.json"  # says that every run that is not listed here had not begun when it was written
FIELDS = {"live": 4, "left": 1}  # behind the id in the names of attempts
BASE = 1000  # bytes of the key of an attempt without an epoch; every epoch adds one


@dataclass(frozen=True)
class Begun:
    """An attempt, as its key shows it."""

    path: str
    attempt: int
    stamp: Stamp
    host: str = ""  # marks of its owner's host, place in its fleet, and process
    member: str = ""
    process: str = ""

    @property
    def pid(self) -> int:
        """Of its owner; 0 where the key says none."""
        pid = self.process.partition("-")[0]
        return int(pid) if pid.isdecimal() else 0

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return bool(self.process)

    @property
    def epochs(self) -> int:
        """Epochs that it has done."""
        return max(0, self.stamp.bytes - BASE)


@dataclass
class Standings:
    """One listing, by run id."""

    ended: dict[str, str] = field(default_factory=dict)  # the name of the key
    live: dict[str, Begun] = field(default_factory=dict)  # the last attempt that has not ended
    left: dict[str, Begun] = field(default_factory=dict)  # the last one that ended without a result
    begun: dict[str, list[Begun]] = field(default_factory=dict)  # every attempt
    whole: bool = False  # whether a run that is not listed has not begun

    def result(self, id: str) -> Result | None:
        """What the key of a run that has ended says of its result: neither digests nor summary."""
        return _result(id, self.ended[id]) if id in self.ended else None


def read(store: Store) -> Standings:
    """Where all runs stand now: a request for every 1,000 of them."""
    stamps = store.stamps(TOP)
    found = Standings(whole=WHOLE in stamps)
    for path, stamp in stamps.items():
        room, _, name = path.partition("/")
        if room == "ended":
            found.ended[name.rsplit(".", 6)[0]] = name
        elif begun := _begun(room, name, stamp):
            found.begun.setdefault(name.rsplit(".", FIELDS[room])[0], []).append(begun)
    for id, attempts in found.begun.items():
        last = max(attempts, key=lambda begun: (begun.attempt, not begun.is_live))
        (found.live if last.is_live else found.left)[id] = last
    return found


def note_result(store: Store, id: str, result: Result) -> None:
    """The run has ended."""
    store.write(ended_path(ended_name(id, result)), b"")


def ended_name(id: str, result: Result) -> str:
    """The name of the key of a run with this result."""
    counts = (result.attempt, result.epochs, result.wrong, result.seen, round(1000 * result.seconds))
    return f"{id}.{result.outcome}.{'.'.join(map(str, counts))}"


def ended_path(name: str) -> str:
    return f"{TOP}/ended/{name}"


def reopen(store: Store, id: str, attempt: int) -> None:
    """The run can be trained again, its last attempt being this one; called before its result is taken away."""
    if attempt:
        store.write(left_path(id, attempt), padded(b"", 0))
    for name in store.names(f"{TOP}/ended"):
        if name.rsplit(".", 6)[0] == id:
            store.delete(ended_path(name))


def live_path(id: str, attempt: int, owner: Owner) -> str:
    """The key of an attempt at work, which says who is at it."""
    host, member = mark(owner.host, owner.boot), mark(owner.fleet, owner.rank)
    return f"{TOP}/live/{id}.{attempt}.{host}.{member}.{process_mark(owner.pid, owner.started)}"


def left_path(id: str, attempt: int) -> str:
    """The key of an attempt that ended without a result."""
    return f"{TOP}/left/{id}.{attempt}"


def padded(data: bytes, epochs: int) -> bytes:
    """The data made as long as tells the epochs that are done."""
    return data.ljust(BASE + epochs)


def is_key(path: str) -> bool:
    """Whether a path is that of one of these keys."""
    return path.startswith(f"{TOP}/")


def process_mark(pid: int, started: str) -> str:
    """A process of a host."""
    return f"{pid}-{mark(started)}"


def mark(*parts: object) -> str:
    """Eight letters that stand for these parts, which may be of any length."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:8]


def clear(store: Store, id: str) -> None:
    """Remove the keys of every attempt on a run."""
    for begun in read(store).begun.get(id, []):
        store.delete(begun.path)


def complete(store: Store, ids: Iterable[str]) -> None:
    """Make the list whole, once in the life of a store, and take from it those of the runs `ids` that have no result:
    a person may have deleted it."""
    found = read(store)
    if not found.whole:
        _add_all(store, found)
    gone = [id for id in ids if id in found.ended and not store.exists(RunFolder(id).result)]
    for id in gone:
        said = found.result(id)
        reopen(store, id, said.attempt if said else 1)


def heal(store: Store, id: str) -> None:
    """Note the result of a run that was not listed."""
    if result := find_result(store, id):
        note_result(store, id, result)


def _add_all(store: Store, found: Standings) -> None:
    """List what a flat listing of all runs shows; of runs of earlier code the results are read, once."""
    names = [name.split("/") for name in store.names("runs")]
    finished = {parts[0] for parts in names if parts[1:] == ["result.json"]}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = read_results(store, finished - set(found.ended))
        list(pool.map(lambda id: note_result(store, id, results[id]), results))
        begun = {id: about for id, about in _attempts(names).items() if id not in finished | set(found.begun)}
        list(pool.map(lambda id: store.write(left_path(id, begun[id][0]), padded(b"", begun[id][1])), begun))
    store.write_json(f"{TOP}/{WHOLE}", {"runs": len({parts[0] for parts in names})})


def _attempts(names: Iterable[list[str]]) -> dict[str, tuple[int, int]]:
    """The last attempt on every run and the whole epochs in its furthest checkpoint, from a listing of all objects."""
    found: dict[str, tuple[int, int]] = {}
    for id, room, *rest in (parts for parts in names if len(parts) > 2):
        attempt, epochs = found.get(id, (0, 0))
        name = rest[-1].removesuffix(".json")
        if room == "claims" and name.isdecimal():
            found[id] = max(attempt, int(name)), epochs
        elif rest[1:2] == ["checkpoint"] and rest[-1].endswith(".json") and name.partition("-")[0].isdecimal():
            found[id] = attempt, max(epochs, int(name.partition("-")[0]))
    return found


def _begun(room: str, name: str, stamp: Stamp) -> Begun | None:
    """What the key of an attempt says; None of keys that others put there."""
    parts = name.rsplit(".", FIELDS.get(room, 0))
    if room not in FIELDS or len(parts) != FIELDS[room] + 1 or not parts[1].isdecimal():
        return None
    return Begun(f"{TOP}/{room}/{name}", int(parts[1]), stamp, *parts[2:])


def _result(id: str, name: str) -> Result | None:
    """The result whose key has this name."""
    _, outcome, *counts = name.rsplit(".", 6)
    try:
        attempt, epochs, wrong, seen, thousandths = map(int, counts)
        why = {
            "done": (),
            "diverged": (f"diverged at epoch {epochs - 1}",),
            "dead": (f"it had learned nothing up to epoch {epochs - 1}",),
        }.get(outcome, ("its result says why",))
        return Result(
            experiment_id=id,
            outcome=outcome,  # pyright: ignore[reportArgumentType]  # one of them, or another's key
            why=why,
            attempt=attempt,
            epochs=epochs,
            wrong=wrong,
            seen=seen,
            seconds=thousandths / 1000,
        )
    except (ValueError, Mismatch):
        return None
