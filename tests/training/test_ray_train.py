"""The fleet on a real cluster of its own, with token authentication, its store on S3."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load
from support.processes import free_port, strive

from pipeline.data import prepare
from pipeline.paper.augmentations import Crop
from pipeline.paper.layers import Conv, Dropout
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe, Scale
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training import history, job, leases
from pipeline.training.owners import LeaseObserver, this_process

RAY = str(Path(sys.executable).with_name("ray"))
FLEET = """
import sys, time
from pipeline.plan.experiment import experiment
from pipeline.runtime import ray_cluster, ray_workers
from pipeline.runtime.ended import Ended
from pipeline.training import ray_fleet
from pipeline.store.objects import open_store
store = open_store(sys.argv[1])
experiments = [experiment(store.read_json(f"plan/{n}.json")) for n in range(3)]
placement = ray_cluster.connect(2)
assert placement == ray_cluster.Placement(workers=2, asked=2)
try:
    ray_fleet.fleet(experiments, store.url, placement)
    ray_workers.END_SECONDS = 60  # the second worker waits for work; when the first says that all is done it ends
    def begin(rank, released):
        return Ended(all_done=not released.wait(60 if rank else 3))
    began = time.monotonic()
    ray_workers.Team(begin, placement, print, print, 0).run()
    assert time.monotonic() - began < 50, "it was waited for"
finally:
    ray_cluster.disconnect()
"""


@pytest.fixture
def head(s3, tmp_path):
    """A Ray head with token authentication; the environment that reaches it."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # a socket's path may be 107 characters long
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    with (tmp_path / "ray.log").open("wb") as log:
        server, port = started(folder, env, log)
        yield {**env, "RAY_ADDRESS": f"127.0.0.1:{port}"}
        os.killpg(server.pid, signal.SIGKILL)  # SIGTERM would drain it for half a minute
        server.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


def started(folder, env, log):
    """A head whose address answers."""
    port = free_port()
    command = [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    command += [f"--temp-dir={folder}", "--disable-usage-stats", "--node-ip-address=127.0.0.1"]
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 60
    while not listens(port):
        assert server.poll() is None, "the head ended: see ray.log"
        assert time.monotonic() < until, "the head does not answer: see ray.log"
        time.sleep(0.2)
    return server, port


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def reach(env, code, *words):
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False, timeout=200
    )


@pytest.mark.ray
@pytest.mark.s3
def test_a_fleet_works_on_a_cluster_with_its_store_on_s3(head, s3):
    store = open_store(f"{s3}/cluster")
    good = study("smoke").experiments[0]
    wild = replace(good, recipe=replace(good.recipe, lr=1e30))
    lost = replace(good, network=replace(good.network, channels=1))  # its first convolution does not fit the images
    prepare.make(store, good.dataset, good.recipe.preprocess)
    for number, experiment in enumerate((lost, wild, good)):
        store.write_json(f"plan/{number}.json", experiment.plain())

    wrong_token = reach({**head, "RAY_AUTH_TOKEN_PATH": "", "RAY_AUTH_TOKEN": "f" * 64}, FLEET, store.url)
    assert "does not accept our token (InvalidAuthToken)" in wrong_token.stderr
    no_token = reach({**head, "RAY_AUTH_MODE": "disabled"}, FLEET, store.url)
    assert "set RAY_AUTH_MODE=token" in no_token.stderr
    assert not store.exists(RunFolder(good.id).result)

    done = reach(head, FLEET, store.url)
    assert done.returncode == 0, done.stderr
    results = [store.read_json(RunFolder(e.id).result) for e in (lost, wild, good)]
    assert [r["outcome"] for r in results] == ["crashed", "diverged", "done"]
    # an error of a run's own is tried three times, and does not stop the others
    assert results[0]["attempt"] == 3
    assert "channels" in results[0]["why"][-1]
    owner = store.read_json(RunFolder(good.id).lease(1))
    assert owner["fleet"].startswith("fleet-")


GROUP = """
import sys
from pipeline.plan.experiment import experiment
from pipeline.runtime import ray_cluster
from pipeline.training import ray_train
from pipeline.store.objects import open_store
store = open_store(sys.argv[1])
placement = ray_cluster.connect(2)
try:
    ray_train.train_together(experiment(store.read_json("plan.json")), store.url, placement)
finally:
    ray_cluster.disconnect()
"""


@pytest.mark.ray
@pytest.mark.ci
def test_two_workers_train_one_experiment_as_one_process_would(tmp_path):
    """The same errors to an image or two, and the weights as near as sums in another order leave them."""
    shared, single = open_store(str(tmp_path / "shared")), open_store(str(tmp_path / "single"))
    one = study("smoke").experiments[0]
    for store in (shared, single):
        prepare.make(store, one.dataset, one.recipe.preprocess)
    shared.write_json("plan.json", one.plain())
    done = reach(dict(os.environ), GROUP, shared.url)
    assert done.returncode == 0, done.stderr
    held, _ = leases.acquire(single, [one], 1, this_process(), LeaseObserver(single))
    [alone] = job.run(held, single)
    run = RunFolder(one.id)
    together = shared.read_json(run.result)
    assert (together["outcome"], together["attempt"], together["epochs"]) == ("done", 1, 2)
    assert abs(together["wrong"] - alone.wrong) <= 5
    assert shared.read_json(run.provenance(1))["devices"] == 2
    theirs, ours = (load(bytes(store.read(run.weights(1)))) for store in (shared, single))
    for name, weight in ours.items():
        assert (theirs[name] - weight).norm() < 0.01 * weight.norm() + 0.01


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_train_on_photographs_in_shards_as_one_process_would(tmp_path):
    """In three epochs over two passes; each worker reads its own four of eight streams (tests/data/test_streams.py)."""
    dataset, rng = Dataset("photographs", 8, 3, 203, 37, None, shard=5), np.random.default_rng(0)
    for part, count in (("train", 203), ("val", 37)):
        for n in range(count):
            file = tmp_path / "photographs" / part / f"n{n % 3}" / f"{n:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    recipe = Recipe(
        lr=0.01, epochs=3, epoch_images=120, lr_drops=(), batch=24, preprocess=Scale(), augment=Crop(6), streams=8
    )
    one = Experiment(Network("little", 6, (Conv(3, 8), Dropout(0.2), Conv(1, 3))), dataset, recipe)
    shared, single = open_store(str(tmp_path / "shared")), open_store(str(tmp_path / "single"))
    for store in (shared, single):
        prepare.make(store, dataset, recipe.preprocess, str(tmp_path))
    shared.write_json("plan.json", one.plain())
    done = reach(dict(os.environ), GROUP, shared.url)
    assert done.returncode == 0, done.stderr
    held, _ = leases.acquire(single, [one], 1, this_process(), LeaseObserver(single))
    job.run(held, single)
    run = RunFolder(one.id)
    rows, alone = (history.find(store, run, 1) for store in (shared, single))
    assert [row.train_seen for row in rows] == [120] * 3
    assert [row.train_loss for row in rows] == pytest.approx([row.train_loss for row in alone], rel=1e-4)
    theirs, ours = (load(bytes(store.read(run.weights(1)))) for store in (shared, single))
    for name, weight in ours.items():
        assert (theirs[name] - weight).norm() < 1e-4 * weight.norm()


@pytest.mark.ray
@pytest.mark.s3
@pytest.mark.ci
def test_a_head_that_was_started_without_keys_is_named_before_anything_is_trained(s3, tmp_path):
    store = open_store(f"{s3}/without-keys")
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {"RAY_AUTH_MODE": "disabled"}
    bare |= {"AWS_EC2_METADATA_DISABLED": "true"}
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    ours = {"RAY_AUTH_MODE": "disabled", "STRIVE_STORE": store.url}
    with (tmp_path / "ray.log").open("wb") as log:
        server, port = started(folder, bare, log)
        ours |= {"RAY_ADDRESS": f"127.0.0.1:{port}"}
        try:
            asked = strive("doctor", "--json", env=ours)
            [seen] = [check for check in asked.json["checks"] if check["name"] == "ray"]
            fleet = reach({**os.environ, **ours}, DRIVER, store.url)
            elsewhere = reach({**os.environ, **ours}, DRIVER, str(tmp_path / "shared"))
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(60)
    shutil.rmtree(folder, ignore_errors=True)
    assert not seen["ok"]
    assert "has no AWS keys: export AWS_* before `ray start`" in seen["found"]
    assert "UserError: the Ray node" in fleet.stdout
    assert "has no AWS keys" in fleet.stdout
    assert "done" in elsewhere.stdout  # a folder that both reach
    assert store.names("") == []


DRIVER = """
import sys
from pipeline.errors import UserError
from pipeline.training.fleet import Fleet
try:
    Fleet([], sys.argv[1], 1).wait()
    print("done")
except UserError as error:
    print(f"UserError: {error}")
"""
