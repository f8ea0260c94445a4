"""Kill the whole main job at every moment of it, in every way there is; it must end like an unbroken one.

uv run pytest -m drill tests/drill/test_drill.py   six kills over a folder and six over S3, half an hour on two cores
STRIVE_DRILL_KILLS=20 …                            more
STRIVE_DRILL_REFERENCE=FOLDER …                    compare with this store's finished `digits`, not with one made first
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.plan.studies import study
from pipeline.store.objects import Store, open_store
from pipeline.store.paths import RunFolder

pytestmark = [pytest.mark.drill, pytest.mark.timeout(7200)]
WAYS = ["SIGINT driver", "SIGTERM driver", "SIGKILL driver", "SIGKILL group", "SIGKILL worker", "SIGKILL everything"]
MOMENTS = {  # what has come into the store since the start
    "before anything": r"",
    "as a run begins": r"runs/[^/]+/attempts/\d+/provenance\.json",
    "in mid-training": r"runs/[^/]+/attempts/\d+/checkpoint.*",
    "as weights are written": r"runs/[^/]+/attempts/\d+/model\.safetensors",
    "as a run ends": r"runs/[^/]+/result\.json",
}


def start(store: str, log) -> psutil.Popen:
    command = [sys.executable, "-m", "flows.cli.app", "reproduce", "digits", "--store", store]
    return psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def workers_of(driver: psutil.Process) -> list[psutil.Process]:
    return [p for p in family(driver) if p.is_running() and p.name().startswith("ray::Worker")]


def strike(driver: psutil.Popen, way: str) -> None:
    name, whom = way.split()
    if whom == "group":  # what a terminal's end or a scheduler's limit kills
        os.killpg(driver.pid, getattr(signal, name))
        return
    victims = {"driver": [driver], "worker": workers_of(driver)[:1], "everything": family(driver)}[whom]
    for victim in victims:
        if victim.is_running():
            victim.send_signal(getattr(signal, name))


def numbers(store: Store) -> dict[str, tuple]:
    results = {e.id: store.read_json(RunFolder(e.id).result) for e in study("digits").experiments}
    return {id: (r["outcome"], r["wrong"], r["digests"]["model"]) for id, r in results.items()}


def await_moment(store: Store, driver: psutil.Popen, moment: str, way: str, before: set[str]) -> bool:
    """False if the job has ended by itself first."""
    while driver.poll() is None:
        new = set(store.names("")) - before if MOMENTS[moment] else {""}
        has_come = any(re.fullmatch(MOMENTS[moment], name) for name in new)
        if has_come and (way != "SIGKILL worker" or workers_of(driver)):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module", autouse=True)
def _heard():
    """A shell's background commands ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, tuple]:
    folder = Path(os.environ.get("STRIVE_DRILL_REFERENCE") or tmp_path_factory.mktemp("unbroken"))
    if "STRIVE_DRILL_REFERENCE" not in os.environ:
        with (folder / "log").open("wb") as log:
            assert start(str(folder), log).wait(900) == 0
    return numbers(open_store(str(folder)))


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def url(request, tmp_path) -> str:
    return f"{request.getfixturevalue('s3')}/kills" if request.param == "s3" else str(tmp_path / "store")


def test_killed_at_any_moment_it_ends_like_an_unbroken_one(url, unbroken, tmp_path):
    seed = int(os.environ.get("STRIVE_DRILL_SEED", time.time()))
    chance, kills = random.Random(seed), int(os.environ.get("STRIVE_DRILL_KILLS", len(WAYS)))
    ways = [way for _ in range(kills // len(WAYS) + 1) for way in chance.sample(WAYS, len(WAYS))]
    store = open_store(url)
    with (tmp_path / "log").open("wb") as log:
        for way in ways[:kills]:
            moment, before = chance.choice(list(MOMENTS)), set(store.names(""))
            driver = start(url, log)
            if not await_moment(store, driver, moment, way, before):
                break  # finished before its turn
            time.sleep(chance.uniform(0, 5))
            everyone = family(driver)
            done = sum(name.endswith("result.json") for name in store.names("runs"))
            print(f"seed {seed}: {way} {moment}, {done} runs done", flush=True)
            strike(driver, way)
            if way == "SIGKILL worker":
                _, alive = psutil.wait_procs([driver], timeout=30)
                assert alive or driver.returncode == 0  # the fleet goes on without the worker
                strike(driver, "SIGKILL driver")
            code = driver.wait(60)
            assert code in {"SIGINT": (130,), "SIGTERM": (143,), "SIGKILL": (-9, 0)}[way.split()[0]], code
            _, alive = psutil.wait_procs([p for p in everyone if p.pid != driver.pid], timeout=20)
            assert alive == [], [p.cmdline() for p in alive]
        assert start(url, log).wait(900) == 0
    assert numbers(store) == unbroken
    assert "Traceback" not in (tmp_path / "log").read_text()
