"""What an error of a store's client means: is the store away for now, or does it refuse, and what helps?"""

import errno
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from errno import (
    EACCES,
    EAGAIN,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EDQUOT,
    EHOSTDOWN,
    EHOSTUNREACH,
    EINTR,
    EIO,
    EISDIR,
    ENAMETOOLONG,
    ENETDOWN,
    ENETUNREACH,
    ENOSPC,
    ENOTCONN,
    ENOTDIR,
    EPERM,
    EROFS,
    ESTALE,
    ETIMEDOUT,
)
from http.client import HTTPException
from typing import Literal

Kind = Literal["away", "refused", "unclear"]
_AWAY = {
    EAGAIN, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINTR, EIO, ENETDOWN, ENETUNREACH,
    ENOTCONN, ESTALE, ETIMEDOUT, getattr(errno, "EREMOTEIO", EIO),  # the last is Linux's alone
}  # fmt: skip
ANOTHER = "choose another store with --store or STRIVE_STORE"
_REFUSED = {
    ENOSPC: ("its disk is full", f"free space there, or {ANOTHER}"),
    EDQUOT: ("the quota of disk space is used up", f"free space there, or {ANOTHER}"),
    EACCES: ("this user may not read or write there", f"give it the right to, or {ANOTHER}"),
    EPERM: ("this user may not read or write there", f"give it the right to, or {ANOTHER}"),
    EROFS: ("it is mounted read-only", f"mount it writable, or {ANOTHER}"),
    EISDIR: ("a folder lies where a file should", "move it away"),
    ENOTDIR: ("a file lies where a folder should", "move it away"),
    ENAMETOOLONG: ("its file system does not take names as long as this", ANOTHER),
}
BACK = "check that its server runs and that this machine reaches it, then run the same command again"


@dataclass(frozen=True)
class Fault:
    """What an error means. "away": trying again may help, for a long time; "unclear": it may help, a few times."""

    kind: Kind
    cause: str
    remedy: str = BACK


def os_fault(error: Exception) -> Fault:
    """The fault of a folder, or of a connection, by the number of the operating system's error."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault("refused", f"its certificate is not trusted: {error.verify_message}", "set AWS_CA_BUNDLE")
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return Fault("refused", *_REFUSED[error.errno])
    if isinstance(error, PermissionError):
        return Fault("refused", *_REFUSED[EACCES])
    if isinstance(error, ConnectionError | TimeoutError | HTTPException):
        return Fault("away", said)
    if isinstance(error, OSError) and error.errno in _AWAY:
        return Fault("away", error.strerror or said)
    return Fault("unclear", said, "`strive doctor` looks at what is needed")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__
