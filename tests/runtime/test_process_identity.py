"""Processes as others recognize them. Witness: psutil."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.runtime.process_identity import process_started


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="names are cut so on Linux")
def test_a_process_whose_name_was_cut_inside_a_letter_is_recognized():
    code = "open('/proc/self/comm', 'wb').write(b'caf\\xc3'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        ticks = process_started(process.pid)
        began = psutil.Process(process.pid).create_time()
        process.communicate(b"\n")
    assert ticks
    assert abs(psutil.boot_time() + int(ticks) / os.sysconf("SC_CLK_TCK") - began) < 2
    assert process_started(process.pid) is None
