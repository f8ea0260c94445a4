"""Checks of the fast loop that need a GPU. Each is a function that raises AssertionError if it fails.

They need no test library: infra/gpu_slice.py runs them where pytest is not installed, tests/numerics/fast/test_gpu.py
where it is. Tests on a CPU use the small experiments at the top too.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.numerics import reference_loop
from pipeline.numerics.dropout import dropout_mask, epoch_keys
from pipeline.numerics.fast import pointwise, precision
from pipeline.numerics.fast.loop import epochs, stepper
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.fast.trainer import Trainer
from pipeline.numerics.initialization import initialize
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.model import build
from pipeline.numerics.reference_loop import Epoch
from pipeline.paper.augmentations import Shift
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe

POOLED = Network(
    "pooled", 8, (Dropout(0.2), Conv(3, 8), Pool(), Dropout(0.5), Conv(3, 16, 2), Dropout(0.3), Conv(1, 4))
)
LEAKY = Network("leaky", 8, (Conv(2, 8, pad=0, slope=0.3), Dropout(0.1), Conv(3, 4, 2, relu=False)))
RECIPE = Recipe(lr=0.05, epochs=3, lr_drops=(2,), batch=16, weight_decay=0.01)
FIFTY_STEPS = replace(RECIPE, epochs=10, lr_drops=(7,), augment=Shift(2))  # 5 steps an epoch, the last one smaller

EXACT = Mode("bfloat16", deterministic=True, graph=True)
FAST = Mode("bfloat16", deterministic=False, graph=True)


def small_images(count: int = 70, seed: int = 0) -> Images:
    """Random images (count, 3, 8, 8), float32, with random labels of four classes."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, 3, 8, 8, generator=generator)
    return Images(pixels, torch.randint(4, (count,), generator=generator))


def small_loader(recipe: Recipe = RECIPE, count: int = 70, seed: int = 0) -> Loader:
    """A loader of `small_images`."""
    return Loader(small_images(count, seed), recipe)


def small_model(network: Network = POOLED, seed: int = 0) -> nn.Sequential:
    """An initialized model of the network, on the CPU."""
    model = build(network)
    initialize(model, "he", seed)
    return model


def small_trainer(
    network: Network = POOLED,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    mode: Mode | None = None,
    device: str = "cpu",
    **more: Any,
) -> Trainer:
    """A trainer with 70 training and 20 test images on the device; `more` are further arguments of Trainer."""
    train, test = (Loader(images.to(device), recipe) for images in (small_images(70), small_images(20, 1)))
    return Trainer(small_model(network, seed).to(device), network, recipe, train, test, seed, mode or Mode(), **more)


def weights_of(model: nn.Module) -> Tensor:
    """All parameters as one vector."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def without_seconds(rows: Sequence[Epoch]) -> list[Epoch]:
    """The epochs with `seconds` set to 0, so that they can be compared."""
    return [replace(row, seconds=0) for row in rows]


@contextmanager
def _backend_flags(mode: Mode) -> Iterator[None]:
    precision.set_backend_flags(mode)
    try:
        yield
    finally:
        precision.set_backend_flags(Mode())


def _train(*trainers: Trainer) -> list[Epoch]:
    """Train to the end, one trainer after the other."""
    return [row for one in trainers for _, row in epochs([one])]


def a_mask_is_the_same_on_either_device() -> None:
    """Dropout masks are equal on CPU and GPU."""
    keys = epoch_keys(0, 0, 1, 20)[0]
    shape = torch.Size([20, 7, 5, 6])
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(dropout_mask(keys.cuda(), shape, 0.3, dtype).cpu(), dropout_mask(keys, shape, 0.3, dtype))


def kernels_are_their_meaning_in_torch() -> None:
    """The Triton kernels give the outputs and gradients of the torch code in pointwise.py."""
    from pipeline.numerics.fast import triton_kernels

    keys = epoch_keys(0, 0, 1, 40)[0].cuda()
    for channels, slope, p, real in ((96, 0.0, 0.5, None), (12, 0.3, 0.2, None), (8, 1.0, 0.2, 3)):
        x = torch.randn(40, channels, 9, 8, device="cuda").contiguous(memory_format=torch.channels_last)
        x[:, :, :2] = 0  # as at the zero borders of shifted images while biases are zero
        bias = None if slope == 1 else torch.randn(channels, device="cuda")
        if bias is not None:
            bias[: channels // 2] = 0
        out = triton_kernels.activate(x, bias, slope, keys, p, real)
        torch.testing.assert_close(out, pointwise.activate_reference(x.clone(), bias, slope, keys, p, real))
        if bias is not None:
            below, of_bias = triton_kernels.activate_backward(torch.ones_like(out), out, slope, 1 / (1 - p), True)
            inputs = (x + 0).requires_grad_(), bias.clone().requires_grad_()
            expected = pointwise.activate_reference(inputs[0] + 0, inputs[1], slope, keys, p)
            gradients = torch.autograd.grad(expected.sum(), inputs)
            for found, gradient in zip((below, of_bias), gradients, strict=True):
                torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-4)


def recorded_steps_equal_steps_made_one_by_one() -> None:
    """Training with CUDA graphs gives bit for bit the results of training without, in deterministic mode."""
    with _backend_flags(EXACT):
        graph, eager = (small_trainer(mode=replace(EXACT, graph=on), device="cuda") for on in (True, False))
        assert without_seconds(_train(graph)) == without_seconds(_train(eager))
        assert torch.equal(weights_of(graph.model), weights_of(eager.model))


def side_by_side_equals_one_after_the_other() -> None:
    """Two experiments trained side by side get bit for bit the weights of each trained alone."""
    with _backend_flags(EXACT):

        def pair() -> list[Trainer]:
            return [
                small_trainer(mode=EXACT, device="cuda"),
                small_trainer(LEAKY, RECIPE, 1, EXACT, device="cuda"),
            ]

        together, apart = pair(), pair()
        list(epochs(together))
        _train(*apart)
        for one, other in zip(together, apart, strict=True):
            assert torch.equal(weights_of(one.model), weights_of(other.model))


def stopped_and_resumed_equals_never_stopped() -> None:
    """Training resumed after the first epoch ends bit for bit with the weights of uninterrupted training."""
    with _backend_flags(EXACT):
        whole, first, second = (small_trainer(mode=EXACT, device="cuda") for _ in range(3))
        _train(whole)
        next(iter(epochs([first])))
        second.model.load_state_dict(first.model.state_dict())
        for name, velocity in second.weights.velocities.items():
            velocity.copy_(first.weights.velocities[name])
        second.epoch = 1
        _train(second)
        assert torch.equal(weights_of(second.model), weights_of(whole.model))


def fifty_steps_are_those_of_the_reference_loop() -> None:
    """After 50 steps the weights differ from the reference loop's, on a CPU, by a small share of their total change."""
    train, test = small_loader(FIFTY_STEPS), small_loader(FIFTY_STEPS, 20, 1)
    for network in (POOLED, LEAKY):
        # float32 differs too: cuDNN may convolve by Winograd or Fourier transforms, off by 1e-5 per layer
        for mode, tolerance in ((replace(EXACT, precision="float32"), 1e-2), (FAST, 0.15)):
            with _backend_flags(mode):
                model = small_model(network)
                momentum = reference_loop.Momentum(model, FIFTY_STEPS)
                list(reference_loop.epochs(model, momentum, FIFTY_STEPS, train, test, seed=0))
                one = small_trainer(network, FIFTY_STEPS, mode=mode, device="cuda")
                _train(one)
                begin, end = weights_of(small_model(network)), weights_of(model)
                assert (weights_of(one.model).cpu() - end).norm() < tolerance * (end - begin).norm()


def nothing_inside_an_epoch_waits_for_the_device() -> None:
    """The steps of an epoch run while torch raises an error at every synchronization with the device."""
    with _backend_flags(FAST):
        one = small_trainer(mode=FAST, device="cuda")
        steps = stepper([one])
        for strict in (False, True):
            one.begin_epoch()
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error" if strict else "default")
            try:
                for chunk in one.chunks(steps.most):
                    steps.run(chunk)
            finally:
                torch.cuda.set_sync_debug_mode("default")


def divergence_ends_a_run() -> None:
    """With a learning rate of 1e30, training ends after one epoch, whose loss is NaN or infinite."""
    with _backend_flags(FAST):
        [row] = _train(small_trainer(recipe=replace(RECIPE, lr=1e30), mode=FAST, device="cuda"))
        assert not torch.tensor(row.train_loss).isfinite()


CHECKS: dict[str, Callable[[], None]] = {
    check.__name__.replace("_", " "): check
    for check in (
        a_mask_is_the_same_on_either_device,
        kernels_are_their_meaning_in_torch,
        recorded_steps_equal_steps_made_one_by_one,
        side_by_side_equals_one_after_the_other,
        stopped_and_resumed_equals_never_stopped,
        fifty_steps_are_those_of_the_reference_loop,
        nothing_inside_an_epoch_waits_for_the_device,
        divergence_ends_a_run,
    )
}
