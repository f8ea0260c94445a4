"""Kill the whole main job at random moments, in every way there is; it must end like an unbroken one.

uv run pytest -m drill            five kills, 10 to 15 minutes on two cores
STRIVE_DRILL_KILLS=20 …           more
STRIVE_DRILL_REFERENCE=FOLDER …   compare with this store's finished `digits` instead of making one first
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder

pytestmark = [pytest.mark.drill, pytest.mark.timeout(7200)]
WAYS = ["SIGINT driver", "SIGTERM driver", "SIGKILL driver", "SIGKILL worker", "SIGKILL everything"]


def start(store: Path, log) -> psutil.Popen:
    command = [sys.executable, "-m", "flows.cli.app", "reproduce", "digits", "--store", str(store)]
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
    victims = {"driver": [driver], "worker": workers_of(driver)[:1], "everything": family(driver)}[whom]
    for victim in victims:
        if victim.is_running():
            victim.send_signal(getattr(signal, name))


def numbers(store: Path) -> dict[str, tuple]:
    results = {e.id: open_store(str(store)).read_json(RunFolder(e.id).result) for e in study("digits").experiments}
    return {id: (r["outcome"], r["wrong"], r["digests"]["model"]) for id, r in results.items()}


def test_killed_at_random_moments_it_ends_like_an_unbroken_one(tmp_path):
    seed = int(os.environ.get("STRIVE_DRILL_SEED", time.time()))
    chance, kills = random.Random(seed), int(os.environ.get("STRIVE_DRILL_KILLS", "5"))
    ways = [way for _ in range(kills // len(WAYS) + 1) for way in chance.sample(WAYS, len(WAYS))]
    store = tmp_path / "store"
    with (tmp_path / "drill.log").open("wb") as log:
        for way in ways[:kills]:
            driver, wait = start(store, log), chance.uniform(0, 70)
            if way == "SIGKILL worker":
                wait = chance.uniform(1, 20)
                while not workers_of(driver):  # half a minute
                    assert driver.is_running()
                    time.sleep(0.5)
            gone = [driver.wait(wait)] if _ends_within(driver, wait) else []
            everyone = family(driver)
            done = len(list(store.glob("runs/*/result.json")))
            print(f"seed {seed}: {way} after {wait:.0f} s, {done} runs done", flush=True)
            if gone:
                break  # finished before its turn
            strike(driver, way)
            if way != "SIGKILL worker":
                code = driver.wait(60)
                assert code in {"SIGINT": (130,), "SIGTERM": (143,), "SIGKILL": (-9,)}[way.split()[0]], code
            else:
                _, alive = psutil.wait_procs([driver], timeout=30)
                assert alive or driver.returncode == 0  # the fleet goes on without the worker
                strike(driver, "SIGKILL driver")
                driver.wait(60)
            _, alive = psutil.wait_procs([p for p in everyone if p.pid != driver.pid], timeout=20)
            assert alive == [], [p.cmdline() for p in alive]
        last = start(store, log)
        assert last.wait(900) == 0
    reference = os.environ.get("STRIVE_DRILL_REFERENCE")
    if not reference:
        reference = tmp_path / "reference"
        with (tmp_path / "reference.log").open("wb") as log:
            assert start(reference, log).wait(900) == 0
    assert numbers(store) == numbers(Path(reference))


def _ends_within(process: psutil.Popen, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except psutil.TimeoutExpired:
        return False
    return True
