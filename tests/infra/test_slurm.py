"""infra/slurm/study.sbatch under a real Slurm: its time limit, its queue, several nodes, a cancelled job."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.slurm_cluster import Slurm, missing

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]
BIN = Path(sys.executable).parent


@pytest.fixture
def cluster(root, tmp_path):
    """Starts a cluster of some nodes; ends it and looks that no process of its jobs is left."""
    if why := missing():
        pytest.skip(why)
    started = []

    def start(nodes: int, cpus: int) -> Slurm:
        started.append(Slurm(tmp_path, nodes, cpus))
        return started[-1]

    yield start
    for slurm in started:
        slurm.end()


@pytest.fixture
def batch(root):
    return str(root / "infra/slurm/study.sbatch")


def job_env(slurm: Slurm, **more: str) -> dict[str, str]:
    return {"PATH": f"{BIN}:{slurm.env['PATH']}", "STRIVE_STORE": str(slurm.home / "store"), **more}


def results(slurm: Slurm) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in (slurm.home / "store").glob("runs/*/result.json")}


def log(slurm: Slurm, number: str) -> str:
    return (slurm.home / f"strive-{number}.log").read_text()


def left_over(number: str) -> list:
    """Folders and processes of a job that has ended."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SLURM_JOB_ID") == number and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process.cmdline())
        except psutil.Error:
            continue
    return [*Path("/tmp").glob(f"strive-{number}.*"), *processes]


def while_it_lives(slurm: Slurm, number: str, true, seconds: float) -> None:
    """Wait for something that the job does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, log(slurm, number)
        assert slurm.job(number)["JobState"] in ("PENDING", "RUNNING", "COMPLETING"), log(slurm, number)
        time.sleep(0.5)


def nothing_stays(number: str) -> None:
    end = time.monotonic() + 60
    while (left := left_over(number)) and time.monotonic() < end:
        time.sleep(1)
    assert left == []


def test_a_study_stops_before_the_time_limit_is_queued_again_and_finishes(cluster, batch):
    slurm = cluster(nodes=1, cpus=2)
    number = slurm.submit(
        "--cpus-per-task=2", "--time=60", "--signal=B:USR1@180", batch, "digits", "--seeds=3", "--images=1",
        **job_env(slurm),
    )  # fmt: skip
    while_it_lives(slurm, number, lambda: len(results(slurm)) >= 2, 600)
    # how fast this machine is, is not known: so the limit comes to the job, less than 180 s from now
    hours, minutes, _ = slurm.job(number)["RunTime"].split(":")
    slurm.say("scontrol", "update", f"JobId={number}", f"TimeLimit={int(hours) * 60 + int(minutes) + 3}")
    while_it_lives(slurm, number, lambda: slurm.job(number)["Restarts"] == "1", 200)
    before = results(slurm)
    slurm.say("scontrol", "update", f"JobId={number}", "TimeLimit=60")

    job = slurm.wait(number, 900)
    assert (job["JobState"], job["ExitCode"], job["Restarts"]) == ("COMPLETED", "0:0", "1"), log(slurm, number)
    said = log(slurm, number)
    assert "the time limit is near: stopped after" in said
    assert [int(n) for n in re.findall(r"start (\d+) of job", said)] == [0, 1]
    after = results(slurm)
    assert 2 <= len(before) < len(after) == 36
    assert {file: after[file] for file in before} == before  # nothing was trained twice
    found = [json.loads(body) for body in after.values()]
    assert {result["outcome"] for result in found} == {"done"}
    assert max(result["attempt"] for result in found) == 2  # what was at work went on
    assert (slurm.home / "store/studies/digits/report.html").exists()
    nothing_stays(number)


def test_several_nodes_train_one_study(cluster, batch):
    slurm = cluster(nodes=2, cpus=1)
    number = slurm.submit("--nodes=2", "--cpus-per-task=1", batch, "smoke", "--images=1", **job_env(slurm))
    job = slurm.wait(number, 900)
    said = log(slurm, number)
    assert (job["JobState"], job["NumNodes"]) == ("COMPLETED", "2"), said
    assert "Ray on 2 nodes" in said
    assert len(results(slurm)) == 2
    nothing_stays(number)


def test_a_cancelled_job_leaves_nothing_and_is_not_queued_again(cluster, batch):
    slurm = cluster(nodes=1, cpus=2)
    number = slurm.submit("--cpus-per-task=2", batch, "digits", "--images=1", **job_env(slurm))
    while_it_lives(slurm, number, lambda: list((slurm.home / "store").glob("runs/*/claims/1.json")), 600)
    slurm.say("scancel", number)
    job = slurm.wait(number, 60)
    assert (job["JobState"], job["Restarts"]) == ("CANCELLED", "0")
    nothing_stays(number)


def test_what_cannot_be_met_is_refused_in_the_log(cluster, batch):
    slurm = cluster(nodes=1, cpus=2)
    for words, env, sentence in (
        ((), {}, "name a study"),
        (("digits",), {"STRIVE_STORE": ""}, "set STRIVE_STORE to a folder"),
        (("digits",), {"PATH": "/usr/bin:/bin"}, "activate its environment before sbatch"),
        (("no-such-study",), {}, "no-such-study"),
    ):
        number = slurm.submit("--cpus-per-task=2", batch, *words, **job_env(slurm) | env)
        job = slurm.wait(number, 120)
        assert (job["JobState"], job["ExitCode"]) == ("FAILED", "2:0")
        assert sentence in log(slurm, number)


def test_it_says_so_outside_of_slurm(batch):
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    done = subprocess.run(["bash", batch, "digits"], capture_output=True, text=True, check=False, env=env, timeout=30)
    assert done.returncode == 2
    assert "start it with sbatch" in done.stderr
