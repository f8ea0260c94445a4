"""`alive.py ADDRESS...` ends with 0 when every one answers: http://... with a good status, tcp://... with a connection.

For health checks: a slim image has no curl, and starting `ray` only to ask costs seconds of CPU each time.

`alive.py --or-end ADDRESS...` ends its container too, so that it is restarted: Docker itself only writes "unhealthy"
down. It does so after FAILURES checks in a row in which an address that had answered did not answer at all; an answer
with a bad status says that something else is missing, which no restart brings back.
"""

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

SECONDS = 4.0
FAILURES = 3
INITS = ("docker-init", "tini")  # compose's `init: true`; only there does process 1 end the container


def ask(address: str) -> None:
    """Raises OSError when nothing answers there."""
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        socket.create_connection((parts.hostname, parts.port), SECONDS).close()
    else:
        urlopen(address, timeout=SECONDS).close()


def counted(answered: bool, folder: Path, start: str) -> int:
    """Checks without an answer in a row, this one included, since one was answered after `start`; 0 before that."""
    note = folder / f"alive-{start}"
    if answered:
        note.write_text("0")
        return 0
    if not note.exists():
        return 0
    failures = int(note.read_text() or 0) + 1
    note.write_text(str(failures))
    return failures


def end(failures: int) -> None:
    """Asks the container's processes to end, at the next check makes them; does nothing outside a container."""
    if failures < FAILURES or os.getuid() == 0 or Path("/proc/1/comm").read_text(encoding="utf-8").strip() not in INITS:
        return
    if failures == FAILURES:
        os.kill(1, signal.SIGTERM)  # init hands it on
    else:
        os.kill(-1, signal.SIGKILL)  # every process of this user in here but this one; init ends with its child


def main(words: list[str]) -> str | None:
    """What did not answer."""
    answered, said = True, None
    for address in (word for word in words if word != "--or-end"):
        try:
            ask(address)
        except HTTPError as error:
            said = said or f"{address}: {error}"
        except OSError as error:
            answered, said = False, f"{address}: {error}"
    if "--or-end" in words:
        start = Path("/proc/1/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        end(counted(answered, Path(tempfile.gettempdir()), start))
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
