"""The paper's networks at their full width on real images, through the job. Slow: minutes of training on a CPU."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.real_data import photographs, real_data

from pipeline.data import prepare, sources
from pipeline.data.raw_images import Raw
from pipeline.data.unpickling import unpickle
from pipeline.numerics.initialization import initialize
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.model import build
from pipeline.numerics.preprocessing import fit_to, last_step, whiten
from pipeline.numerics.reference_loop import Momentum, epochs
from pipeline.paper.networks import IMAGENET, LARGE, TWELVE, for_classes, narrow, with_dropout
from pipeline.paper.recipes import CIFAR, Whiten
from pipeline.paper.recipes import IMAGENET as IMAGENET_RECIPE
from pipeline.paper.recipes import LARGE as LARGE_RECIPE
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training import job
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process

FEW = Dataset("cifar10-512", 32, 10, 512, 100, None)
CHILD = """
import json, sys
from pipeline.plan.experiment import experiment
from pipeline.training import job
from pipeline.training.owners import LeaseObserver, this_process
from pipeline.training.leases import acquire
from pipeline.store.objects import open_store
store = open_store(sys.argv[1])
held, _ = acquire(store, [experiment(json.loads(sys.stdin.read()))], 1, this_process(), LeaseObserver(store))
job.run(held, store, checkpoint_seconds=0)
"""


@pytest.fixture(scope="session")
def cifar(pytestconfig):
    """Real test images of CIFAR-10 (10,000, 3, 32, 32), unsigned bytes, and their labels."""
    file = real_data(pytestconfig, "cifar-10-batches-py/test_batch") / "cifar-10-batches-py" / "test_batch"
    part = unpickle(file.read_bytes())
    return part["data"].reshape(-1, 3, 32, 32).copy(), np.array(part["labels"], np.uint8)


@pytest.fixture(scope="session")
def few(cifar, tmp_path_factory):
    """A store with 512 real images to train on, whitened."""
    images, labels = cifar
    sources._SOURCES[FEW.name] = lambda: Raw(images[:512], labels[:512], images[512:612], labels[512:612])
    store = open_store(str(tmp_path_factory.mktemp("few")))
    prepare.make(store, FEW, Whiten())
    return store


def finish(store, experiment):
    held, _ = acquire(store, [experiment], 1, this_process(), LeaseObserver(store))
    [result] = job.run(held, store, checkpoint_seconds=0)
    return result


def killed_after_a_checkpoint(store, experiment):
    child = subprocess.Popen([sys.executable, "-c", CHILD, store.url], stdin=subprocess.PIPE, start_new_session=True)
    child.stdin.write(json.dumps(experiment.plain()).encode())
    child.stdin.close()
    notes = f"{RunFolder(experiment.id).attempt(1)}/checkpoint"
    while not any(name.endswith(".json") for name in store.names(notes)):
        assert child.poll() is None
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not store.exists(RunFolder(experiment.id).result)


@pytest.mark.slow
@pytest.mark.parametrize("network", TWELVE.values(), ids=lambda n: n.name)
def test_each_network_sees_512_real_images_killed_and_resumed_like_never_killed(few, network, tmp_path):
    # the paper's batch and rate; the images of one epoch in two halves, with the kill in between
    recipe = replace(CIFAR, epochs=2, epoch_images=256, lr_drops=())
    one = Experiment(network, FEW, recipe)
    killed_after_a_checkpoint(few, one)
    resumed = finish(few, one)
    assert resumed.attempt == 2
    other = open_store(str(tmp_path))
    prepare.make(other, FEW, Whiten())
    assert finish(other, one).digests["model"] == resumed.digests["model"]


def overfit(network, cifar, lr, batch, most_epochs):
    """Epochs until 256 real images are all classified rightly, dropout off; None when that does not happen."""
    images, labels = (torch.from_numpy(part[:256]) for part in cifar)
    seen = whiten(images, fit_to(images, Whiten()), Whiten())
    recipe = replace(CIFAR, lr=lr, batch=batch, epochs=most_epochs, lr_drops=())
    model = build(replace(network, layers=with_dropout(network.layers, 0, 0)))
    # of the scores rectified in the paper's last layer, some die at the start by He's initialization on some processors
    initialize(model, "data-dependent", seed=0, sample=seen)
    feed = Loader(Images(seen, labels.long()), recipe)
    rows = epochs(model, Momentum(model, recipe), recipe, feed, feed, seed=0)
    return next((row.epoch for row in rows if row.test_wrong == 0), None)


@pytest.mark.slow
def test_all_cnn_c_at_a_quarter_of_its_width_learns_256_real_images_by_heart(cifar):
    # a batch of 32 makes four times the updates of the paper's 128 in the same time
    assert overfit(narrow(TWELVE["all-cnn-c"], 4), cifar, lr=0.01, batch=32, most_epochs=150)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_cnn_c_at_full_width_learns_them_too(cifar):
    assert overfit(TWELVE["all-cnn-c"], cifar, lr=0.05, batch=32, most_epochs=120)


@pytest.mark.slow
def test_the_large_network_takes_a_step_on_four_distorted_images(cifar):
    images, labels = (torch.from_numpy(part[:4]) for part in cifar)
    recipe = replace(LARGE_RECIPE, epochs=2, plain_epochs=1)
    model = build(LARGE)
    initialize(model, recipe.initialization, seed=0)
    feed = Loader(Images(images, labels.long()), recipe, last_step(recipe, None))
    before = model.conv1.weight.clone()
    rows = list(epochs(model, Momentum(model, recipe), recipe, feed, feed, seed=0))
    assert [row.train_seen for row in rows] == [4, 4]
    assert all(np.isfinite(row.train_loss) for row in rows)
    assert not torch.equal(model.conv1.weight, before)
    # what the last epoch shows is not distorted: centred in gray, as in evaluation
    assert torch.equal(
        next(iter(feed.training_batches(0, epoch=1)))[0].sort(0)[0], feed.eval_batch(torch.arange(4))[0].sort(0)[0]
    )


@pytest.mark.slow
def test_the_imagenet_network_sees_photographs_streamed_from_the_store(tmp_path):
    mini = Dataset("imagenette-mini", 256, 10, 600, 200, None, shard=100)
    # one update of 64 random windows, then the middle of 200 photographs
    recipe = replace(IMAGENET_RECIPE, epochs=1, epoch_images=64, lr_drops=())
    one = Experiment(for_classes(IMAGENET, 10), mini, recipe)
    store = open_store(str(tmp_path))
    prepare.make(store, mini, recipe.preprocess, str(photographs()))
    result = finish(store, one)
    assert (result.outcome, result.seen) == ("done", 200)
    # 1,024 weights and a bias for each of the 990 classes that are not there
    assert result.parameters == 9_372_840 - 990 * 1025
    assert np.isfinite(result.train_loss)
