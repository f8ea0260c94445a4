"""Witnesses: the modules of network.build, the loader's own batches, the plain update, torch's pointwise functions."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.errors import UserError
from pipeline.numerics import reference_loop
from pipeline.numerics.dropout import begin_batch, dropouts, epoch_keys
from pipeline.numerics.fast import precision
from pipeline.numerics.fast.device_loader import DeviceLoader
from pipeline.numerics.fast.flat_parameters import FlatParameters
from pipeline.numerics.fast.forward import logits, rows
from pipeline.numerics.fast.precision import Mode, choose_mode
from pipeline.numerics.fast.self_check import RECIPE, small_loader, small_model
from pipeline.numerics.initialization import initialize
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.model import build
from pipeline.paper.augmentations import Crop, Shift
from pipeline.paper.networks import ABLATIONS, TWELVE, narrow

NETWORKS = [narrow(network, 12) for network in (TWELVE | ABLATIONS).values()]


@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_the_table_computed_directly_is_the_model(network, channels):
    """Dropout included, and with an image that was padded to more channels."""
    model = build(network).train()
    initialize(model, "he", 0)
    x = torch.randn(2, 3, 32, 32)
    keys_LB = epoch_keys(0, 0, len(dropouts(model)), 2)
    begin_batch(model, keys_LB)
    expected = model(x)
    held = FlatParameters(model, RECIPE, channels=channels)
    wide = torch.cat([x, torch.zeros(2, channels - 3, 32, 32)], 1).contiguous(memory_format=torch.channels_last)
    given = logits(rows(network), held.compute_params, wide, keys_LB)
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
    assert given.dtype is torch.float32


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("channels", [3, 8])
def test_one_update_of_the_vector_is_that_of_every_parameter(nesterov, channels):
    recipe = replace(RECIPE, nesterov=nesterov)
    ours, theirs = small_model(), small_model()
    held, plain = FlatParameters(ours, recipe, channels=channels), reference_loop.Momentum(theirs, recipe)
    for number in range(4):
        gradients = [torch.randn(p.shape, generator=torch.Generator().manual_seed(number)) for p in ours.parameters()]
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        plain.update(0.1)
        wide = torch.zeros_like(held.compute_params[0])
        wide[:, :3] = gradients[0]
        held.gather([wide, *gradients[1:]])
        held.update(torch.tensor(0.1))
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(dict(ours.named_parameters())[name], parameter, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(held.velocities[name], plain.velocities[name], rtol=1e-6, atol=1e-7)
    assert held.compute_params[0][:, 3:].abs().sum() == 0


def test_weights_set_from_outside_reach_the_forward_pass():
    model = small_model()
    held = FlatParameters(model, RECIPE, torch.bfloat16)
    model.load_state_dict(small_model(seed=1).state_dict())
    held.refresh_compute()
    for leaf, parameter in zip(held.compute_params, small_model(seed=1).parameters(), strict=True):
        assert torch.equal(leaf.detach(), parameter.detach().bfloat16())


@pytest.mark.parametrize(
    "augment",
    [
        None,
        Shift(2),
        Shift(5, "none", "reflect"),
        Shift(3, "copies", "edge"),
        Shift(0, "random"),
        Crop(6),
    ],
    ids=str,
)
@pytest.mark.parametrize("plain_epochs", [0, 3])
def test_resident_images_are_the_feeds_bit_for_bit(augment, plain_epochs):
    recipe = replace(RECIPE, augment=augment, plain_epochs=plain_epochs)
    given = small_loader(recipe)
    resident = DeviceLoader(given, "cpu", torch.float32, channels=8)
    for epoch in (0, 1):
        resident.begin(given.epoch_plan(3, epoch))
        shown = 0
        for images, labels, place_B in given.training_batches(3, epoch):
            ours, our_labels = resident.batch(slice(int(place_B[0]), int(place_B[-1]) + 1))
            assert torch.equal(ours[:, :3], images)
            assert ours[:, 3:].abs().sum() == 0
            assert torch.equal(our_labels, labels)
            assert ours.is_contiguous(memory_format=torch.channels_last)
            shown += len(labels)
        assert shown == recipe.images_an_epoch(70)


def test_images_that_are_finished_after_augmentation_go_by_way_of_the_feed():
    bytes_NCHW = torch.randint(256, (30, 3, 8, 8), dtype=torch.uint8)
    given = Loader(Images(bytes_NCHW, torch.zeros(30).long()), replace(RECIPE, augment=Shift(2)), lambda x: x / 2)
    resident = DeviceLoader(given, "cpu", torch.bfloat16)
    resident.begin(given.epoch_plan(0, 0))
    [(expected, _, _), *_] = given.training_batches(0, 0)
    assert torch.equal(resident.batch(slice(0, 16))[0], expected.bfloat16())


def test_the_probe_decides_on_a_cpu_and_the_setting_overrides_it(monkeypatch):
    wide, thin = TWELVE["all-cnn-c"], narrow(TWELVE["all-cnn-c"], 12)
    for gain, expected in ((2.1, "bfloat16"), (0.6, "float32")):
        monkeypatch.setattr(precision, "bfloat16_gain", lambda gain=gain: gain)
        assert choose_mode(wide, "cpu") == Mode(expected)
        assert choose_mode(thin, "cpu") == Mode("float32")
    assert choose_mode(thin, "cpu", "bfloat16") == Mode("bfloat16")
    with pytest.raises(UserError, match="float32, bfloat16"):
        choose_mode(wide, "cpu", "float16")


def test_the_probe_divides_the_least_time_of_either_precision(monkeypatch):
    """By hand, with a clock of our own: the first call warms up, then 4 of float32's seconds over 2 of bfloat16's."""
    clock, seconds = [0.0], {torch.float32: [9, 6, 4, 5], torch.bfloat16: [9, 3, 2, 10]}

    def convolution(dtype):
        left = iter(seconds[dtype])

        def once():
            clock[0] += next(left)

        return once

    monkeypatch.setattr(precision, "_convolution", convolution)
    monkeypatch.setattr(precision, "PROBE_SECONDS", 15.0)  # of either three calls
    now = SimpleNamespace(monotonic=lambda: clock[0], thread_time=lambda: clock[0])
    monkeypatch.setattr(precision, "time", now)
    precision.bfloat16_gain.cache_clear()
    assert precision.bfloat16_gain() == 2.0
    precision.bfloat16_gain.cache_clear()


@pytest.mark.ci
def test_triton_kernels_are_their_meaning_in_torch():
    """In a process of its own, where Triton's interpreter runs them on the CPU."""
    assert said("interpreted.py", TRITON_INTERPRET="1") == ["activate", "backward", "update", "training"]


@pytest.mark.ci
def test_triton_kernels_compile_for_a_gpu_that_is_not_here(tmp_path):
    assert said("compiled.py", TRITON_CACHE_DIR=str(tmp_path)) == ["activate", "backward", "update"]


def said(script, **environment):
    """What a script of tests/support prints, in a process of its own."""
    pytest.importorskip("triton")
    path = Path(__file__).parents[2] / "support" / script
    env = {**os.environ, "PYTHONPATH": str(path.parents[1]), **environment}
    done = subprocess.run([sys.executable, str(path)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
