"""The guard: what a process left running ends with it."""

import subprocess
import sys
import time

import psutil
import pytest

from pipeline.runtime.child_process import LOOK_SECONDS

GUARDED = """
import os, subprocess, sys
from pipeline.runtime.child_process import end_with_parent
end_with_parent()
end_with_parent()
left = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(left.pid, flush=True)
sys.stdin.read()
left.returncode = 0  # of this one Python shall not speak
"""


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_process_left_ends_with_it_and_python_has_nothing_to_complain_of(killed):
    """With Python's own warnings of processes that nothing waited for and of files that nothing closed."""
    words = [sys.executable, "-X", "dev", "-W", "error", "-c", GUARDED]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        left = psutil.Process(int(process.stdout.readline()))
        assert left.ppid() == process.pid
        assert psutil.Process(process.pid).children() == [left]  # the guard is no child of its own
        time.sleep(4 * LOOK_SECONDS)  # the guard has seen it
        if killed:
            process.kill()
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == (-9 if killed else 0)
    until = time.monotonic() + 30
    while left.is_running() and left.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)
