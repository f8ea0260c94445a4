"""This process as others can recognize it: host, boot, pid and start time."""

import os
import socket
from contextlib import suppress
from pathlib import Path


def host_name() -> str:
    """The host's name; containers on one machine differ in their process namespace."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return socket.gethostname()


def boot_id() -> str:
    """Differs after every start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        import psutil  # not on a GPU host, and Linux needs none of it

        return str(int(psutil.boot_time()))


def process_started(pid: int) -> str | None:
    """When the process began, or None when there is no such process; a pid alone is used again.

    PermissionError where it is another user's, which this one may not see (a /proc with hidepid).
    """
    try:
        # of any process: its name, in parentheses, is 15 bytes, which may end inside a letter
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]  # a zombie computes nothing
    except FileNotFoundError:
        pass
    except ProcessLookupError:  # it ended between open and read
        return None
    if Path("/proc/self/stat").exists():
        with suppress(ProcessLookupError, OverflowError):
            os.kill(pid, 0)  # asks; PermissionError: it is there, and hidden
        return None
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
