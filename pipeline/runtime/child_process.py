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
_pipe: int | None = None  # our end of the guard's standard input; closed when we end, however that happens


def end_with_parent() -> None:
    """Put every process that will descend from this one under guard; calling it again changes nothing."""
    global _pipe
    if _pipe is None:
        theirs, ours = os.pipe()
        try:
            # a session of its own keeps Ctrl-C from it; what we start and wait for ends once the guard is there
            words = [sys.executable, "-P", __file__, str(os.getpid())]
            subprocess.run(words, stdin=theirs, start_new_session=True, check=True)
        finally:
            os.close(theirs)
        _pipe = ours


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
    watched = psutil.Process(int(sys.argv[1]))
    if os.fork() == 0:  # a child of its parent's no more: it outlives that one, which cannot wait for it
        _watch(watched)
