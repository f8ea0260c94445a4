"""A small process that outlives this one by a moment and ends whatever this one left running.

Ray and Prefect start servers of their own. Both stop them when told to, but not when this process is killed: some of
Ray's live on for a minute, Prefect's for ever.
"""

import os
import subprocess
import sys
from contextlib import suppress

import psutil

LOOK_SECONDS = 0.5
_guard: subprocess.Popen | None = None


def end_with_parent() -> None:
    """Put every process that will descend from this one under guard; calling it again changes nothing."""
    global _guard
    if _guard is None:
        # its end of this pipe closes when we end, however that happens; a session of its own keeps Ctrl-C from it
        _guard = subprocess.Popen(
            [sys.executable, "-P", __file__, str(os.getpid())], stdin=subprocess.PIPE, start_new_session=True
        )


def _watch(driver: psutil.Process) -> None:
    """Remember the driver's descendants while it lives, for afterwards they are no longer known as its own."""
    import select

    family: dict[int, psutil.Process] = {}
    while not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
        family |= {child.pid: child for child in _descendants(driver)}
    for process in list(family.values()):
        family |= {child.pid: child for child in _descendants(process)}
    for process in family.values():
        if process.pid != os.getpid():
            _kill(process)


def kill_tree(pid: int) -> None:
    """End a process and all that descends from it, at once."""
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in [top, *_descendants(top)]:
            _kill(process)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:  # it is gone
        return []


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.kill()  # psutil checks the start time first: a pid that was given away again is safe


if __name__ == "__main__":
    _watch(psutil.Process(int(sys.argv[1])))
