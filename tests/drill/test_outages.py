"""A whole study while its store goes away in mid-training, at the end of a run, while publishing and while drawing.

uv run pytest -m drill tests/drill/test_outages.py     outages of 60 s, three ways: half an hour
STRIVE_DRILL_OUTAGE=300 …                              of 300 s
"""

import os
import re
import subprocess
import time
from urllib.parse import urlparse

import pytest
from support.outage import Proxy
from support.processes import STRIVE

from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder

pytestmark = [pytest.mark.drill, pytest.mark.s3, pytest.mark.timeout(7200)]
RUNS = study("smoke").experiments
MOMENTS = {  # what the store holds when the outage begins
    "in mid-training": r"runs/[^/]+/attempts/1/provenance\.json",
    "at the end of a run": r"runs/[^/]+/model\.safetensors|runs/[^/]+/attempts/1/model\.safetensors",
    "while drawing": r"runs/[^/]+/figures/.*\.png",
    "while publishing": r"runs/[^/]+/evaluation\.json",
}


def reproduced(url, env, log):
    command = [*STRIVE, "reproduce", "smoke", "--store", url, "--workers", "2"]
    return subprocess.Popen(command, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT)


def numbers(store):
    results = [store.read_json(RunFolder(e.id).result) for e in RUNS]
    return [(r["outcome"], r["wrong"], r["digests"]["model"]) for r in results]


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calm")
    with (folder / "log").open("wb") as log:
        assert reproduced(str(folder / "store"), {}, log).wait(900) == 0
    return numbers(open_store(str(folder / "store")))


@pytest.mark.parametrize("way", ["dropped", "silent", "503"])
def test_a_study_outlasts_outages_with_the_same_numbers_and_no_traceback(s3, calm, tmp_path, way):
    seconds = float(os.environ.get("STRIVE_DRILL_OUTAGE", "60"))
    store = open_store(f"{s3}/drill-{way}")
    port = urlparse(os.environ["AWS_ENDPOINT_URL"]).port
    assert port
    with Proxy(port) as proxy, (tmp_path / "log").open("wb") as log:
        process = reproduced(store.url, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}, log)
        left = dict(MOMENTS)
        while process.poll() is None:
            names = store.names("")
            come = [moment for moment, path in left.items() if any(re.fullmatch(path, name) for name in names)]
            for moment in come[:1]:
                del left[moment]
                print(f"{way} for {seconds:.0f} s {moment}", flush=True)
                with proxy.away(way, seconds):
                    pass
            time.sleep(0.05)
    said = (tmp_path / "log").read_text()
    assert process.returncode == 0, said
    assert not left
    assert numbers(store) == calm
    assert "Traceback" not in said
    assert "the store has not answered for" in said or seconds < 20
