"""Drivers: how they begin, answer, fail and end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.runtime import driver
from pipeline.runtime.driver import Driver, FleetFailed, FleetStopped, standing_by

HOME = Path(__file__).parents[2]
WITH_OURS = os.environ | {"PYTHONPATH": str(HOME)}


def test_what_was_stopped_did_not_fail():
    driver = Driver("code", {})  # Python's own prompt: it waits for more input
    driver.stop()
    with pytest.raises(FleetStopped):
        driver.wait()


FRAME = "/usr/lib/ray/_raylet.so(+0xe413d3) [0x7f1e716893d3] {}"
GONE = "rpc_client.h:204: Failed to connect to GCS within 60 seconds. GCS may have been killed."
ANEW = FRAME.format("ray::gcs::NodeResourceInfoAccessor::AsyncGetDrainingNodes()::{lambda()#1}::operator()()")


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """A function that has a driver say something and end with code 1."""
    monkeypatch.setattr("pipeline.runtime.driver.HOME", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")

    def end(said):
        (tmp_path / "dies_as_ray_does.py").write_text(f"print({said!r}); raise SystemExit(1)")
        Driver("dies_as_ray_does", {}).wait()

    return end


@pytest.mark.parametrize("said", [GONE, ANEW], ids=["gone", "started anew"])
def test_a_head_that_has_gone_is_named_in_a_sentence(failed, said):
    """What Ray 2.60 wrote when its head was killed, and when another took its place, before it ended the driver."""
    with pytest.raises(UserError, match=r"the Ray head at RAY_ADDRESS=10.0.0.1:6379 is gone"):
        failed(said)


def test_the_head_of_a_ray_of_our_own_is_not_looked_for_at_an_address(failed, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(UserError, match=r"^Ray's head process ended: run the same command again"):
        failed(GONE)


def test_a_driver_that_was_killed_is_called_so():
    killed = Driver("code", {})  # Python's own prompt
    killed._process.kill()
    with pytest.raises(UserError, match=r"^the process that leads Ray was killed"):
        killed.wait()


def test_the_end_of_what_a_failed_driver_said_has_no_frames_of_foreign_code(failed):
    with pytest.raises(FleetFailed) as caught:
        failed("\n".join(["out of memory", *[FRAME.format("ray::RayLog::~RayLog()")] * 20]))
    assert str(caught.value) == "out of memory"


NOISY = """
from pipeline.errors import UserError
from pipeline.runtime import driver, ray_cluster

def work(order, placement):
    if order["fails"]:
        raise UserError("the cause")
    return "the answer"

ray_cluster.connect, ray_cluster.disconnect = lambda workers: None, lambda: print("(raylet) what Ray says at its end")
driver.serve_parent(work)
"""


@pytest.mark.parametrize("fails", [False, True])
def test_what_ray_says_at_its_end_is_taken_for_neither_answer_nor_cause(tmp_path, monkeypatch, fails):
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    driver = Driver("noisy", {"fails": fails, "workers": 1})
    if fails:
        with pytest.raises(UserError, match=r"^the cause$"):
            driver.wait()
    else:
        assert driver.wait() == "the answer"


def test_what_serves_no_driver_answers_on_its_output_which_stays_open(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    order = json.dumps({"fails": False, "workers": 1}) + "\n"
    words = [sys.executable, str(tmp_path / "noisy.py")]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HOME, env=WITH_OURS, text=True
    ) as it:
        it.stdin.write(order)
        it.stdin.flush()
        assert it.stdout.read() == '"the answer"(raylet) what Ray says at its end\n'
    assert it.returncode == 0


STANDS_BY = """
import os, time
from pathlib import Path
from pipeline.runtime import driver, ray_cluster

def connect(workers):
    Path("connected").write_text(str(workers))

def disconnect():
    time.sleep(float(os.environ["ENDS_FOR"]))
    Path("ended").touch()

ray_cluster.connect, ray_cluster.disconnect = connect, disconnect
driver.serve_parent(lambda order, _placement: order["word"])
"""


@pytest.fixture
def stands_by(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.runtime.driver.HOME", tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{HOME}")
    monkeypatch.setenv("ENDS_FOR", "0")
    (tmp_path / "stands_by.py").write_text(STANDS_BY)
    return tmp_path


def until(there):
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_driver_that_stands_by_connects_before_its_order_and_takes_one(stands_by):
    with standing_by("stands_by", 3):
        until((stands_by / "connected").exists)
        assert (stands_by / "connected").read_text() == "3"
        assert Driver("stands_by", {"workers": 3, "word": "first"}).wait() == "first"
        assert Driver("stands_by", {"workers": 5, "word": "second"}).wait() == "second"  # a process of its own
    assert (stands_by / "connected").read_text() == "5"


def test_a_driver_that_ends_before_its_order_says_why(stands_by):
    said = "from pipeline.errors import UserError; raise UserError('no memory for Ray')"
    script = STANDS_BY.replace('Path("connected").write_text(str(workers))', said.replace("; ", "\n    "))
    (stands_by / "stands_by.py").write_text(script)
    with standing_by("stands_by", None):
        driver._standing_by["stands_by"].running.wait(60)
        with pytest.raises(UserError, match=r"^no memory for Ray$"):
            Driver("stands_by", {"workers": None, "word": "never read"}).wait()


def test_a_driver_that_was_not_wanted_ends_with_the_block(stands_by):
    with standing_by("stands_by", None):
        until((stands_by / "connected").exists)
    assert (stands_by / "ended").exists()


def test_an_answer_does_not_wait_for_the_end_of_ray(stands_by, monkeypatch):
    monkeypatch.setenv("ENDS_FOR", "2")
    assert Driver("stands_by", {"workers": 1, "word": "now"}).wait() == "now"
    assert not (stands_by / "ended").exists()
    until((stands_by / "ended").exists)
