"""Photographs decoded over several hosts, one of which is lost meanwhile, one of which does not see them.

uv run pytest -m hosts -s tests/drill/test_photographs.py      a few minutes, as root on Linux
"""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest
from PIL import Image
from support import hosts

from pipeline.data import prepare, write_shards
from pipeline.paper.recipes import Scale
from pipeline.plan import plain_form
from pipeline.plan.datasets import Dataset
from pipeline.runtime.driver import HOME, REFUSED
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not hosts.available(), reason="hosts are made by root, on Linux"),
]
RAY = f"{os.path.dirname(sys.executable)}/ray"
PORT = 6379
LARGE = Dataset("large", 16, 2, 200, 40, None, shard=4)  # 60 shards, of photographs that take a third of a second
PLACE = DatasetFolder(LARGE, Scale())
ENV = {"RAY_raylet_start_wait_time_s": "150", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def folder(tmp_path):
    colors = [tmp_path / f"{n}.png" for n in range(8)]
    for n, file in enumerate(colors):
        Image.new("RGB", (5000, 4000), (30 * n, 255 - n, n // 2)).save(file)
    for part, count in (("train", LARGE.train), ("val", LARGE.test)):
        for n in range(count):
            file = tmp_path / "data" / "large" / part / f"n{n % 2}" / f"{n:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            os.link(colors[n * 5 % 8], file)
    return tmp_path / "data"


def start_head(network, folder):
    head = network.host("head")
    words = f"{RAY} start --head --block --port={PORT} --num-cpus=0 --include-dashboard=false"
    begin(head, f"{words} --node-ip-address={head.address}", folder)
    return head


def begin(host, words, folder):
    """Start Ray on a host, and wait until it is there."""
    log = folder / f"{host.name}.log"
    process = host.start(words, log, ENV)
    until(f"{host.name} is there", 150, lambda: b"will now block" in log.read_bytes(), process)


def join(head, host, folder, first="true"):
    words = f"{RAY} start --block --address={head.address}:{PORT} --num-cpus=1 --node-ip-address={host.address}"
    begin(host, f"{first} && exec {words}", folder)


def start_preparation(head, folder, store):
    order = {"dataset": plain_form.untagged(LARGE), "how": plain_form.plain(Scale()), "store": store.url}
    driver = head.start(
        f"env -C {HOME} {sys.executable} -P -m pipeline.data.preparation",
        folder / "driver.log",
        ENV | {"RAY_ADDRESS": f"{head.address}:{PORT}"},
        subprocess.PIPE,
    )
    driver.stdin.write(json.dumps(order | {"data_dir": str(folder / "data"), "workers": None}).encode() + b"\n")
    driver.stdin.flush()
    return driver


def decodes(host):
    """Whether a task is at work on the host."""
    names = [process.name() for process in psutil.Process(host._first.pid).children(recursive=True)]
    others = [p for other in host._others for p in psutil.Process(other.pid).children(recursive=True)]
    return any(name.startswith("ray::_called") for name in [*names, *(p.name() for p in others if p.is_running())])


def noted(store):
    return sum(name.endswith(".json") and "/" in name for name in store.names(PLACE.top))


def until(what, seconds, answer, process):
    began = time.monotonic()
    while not answer():
        assert process.poll() is None, f"{what}: its process has ended"
        assert time.monotonic() - began < seconds, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


def test_all_hosts_decode_and_the_shards_of_a_lost_one_are_made_by_another(tmp_path, folder):
    alone, store = open_store(str(tmp_path / "alone")), open_store(str(tmp_path / "store"))
    prepare.make(alone, LARGE, Scale(), str(folder))
    with hosts.network() as network:
        head = start_head(network, tmp_path)
        a, b = network.host("a"), network.host("b")
        join(head, a, tmp_path)
        join(head, b, tmp_path)
        driver = start_preparation(head, tmp_path, store)
        seen = set()

        def both():
            seen.update(host.name for host in (a, b) if decodes(host))
            return len(seen) == 2

        until("both hosts decode", 240, both, driver)
        until("three shards are there", 120, lambda: noted(store) >= 3, driver)
        b.pull_plug()
        there = noted(store)
        print(f"a host is lost, {there} of 60 shards are there", flush=True)
        assert there < 60
        assert driver.wait(400) == 0, (tmp_path / "driver.log").read_text()[-2000:]
    found, expected = ({name: s.read(PLACE.object(name)) for name in s.names(PLACE.top)} for s in (store, alone))
    found.pop("news.json", None)
    assert found == expected


def test_a_host_that_does_not_see_them_is_named_also_where_it_joins_late(tmp_path, folder):
    store = open_store(str(tmp_path / "store"))
    with hosts.network() as network:
        head = start_head(network, tmp_path)
        a, blind = network.host("a"), network.host("blind")
        join(head, a, tmp_path)
        driver = start_preparation(head, tmp_path, store)
        until("a shard is there", 240, lambda: noted(store) >= 1, driver)
        join(head, blind, tmp_path, f"mount -t tmpfs none {folder}")
        assert driver.wait(400) == REFUSED
        assert noted(store) < 60
    said = (tmp_path / "driver.log").read_text().strip().splitlines()[-1]
    assert said.startswith(f"the Ray node blind does not see the photographs of {folder / 'large'} (")
    left = write_shards.missing(store, PLACE, LARGE)
    assert 0 < left < 240
