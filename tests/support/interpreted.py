"""Run with TRITON_INTERPRET=1: the kernels on a CPU, against torch."""

from dataclasses import replace

import torch

from pipeline.numerics.dropout import dropout_mask, epoch_keys
from pipeline.numerics.fast import pointwise, triton_kernels
from pipeline.numerics.fast.loop import epochs
from pipeline.numerics.fast.self_check import LEAKY, POOLED, RECIPE, small_trainer, weights_of
from pipeline.paper.augmentations import Shift
from pipeline.paper.recipes import Recipe

torch.set_num_threads(1)
CASES = [  # channels, slope, p, channels that are dropped from
    (12, 0.0, 0.5, None),
    (12, 0.3, 0.2, None),
    (8, 1.0, 0.2, 3),
    (10, 0.0, 0.0, None),
]


def last(x):
    return x.contiguous(memory_format=torch.channels_last)


for channels, slope, p, real in CASES:
    keys = epoch_keys(0, 0, 1, 3)[0] if p else None
    for dtype, near in ((torch.float32, 1e-6), (torch.bfloat16, 2e-2)):
        x = last(torch.randn(3, channels, 7, 6).to(dtype))
        bias = None if slope == 1 else torch.randn(channels).to(dtype)
        ours = triton_kernels.activate(x, bias, slope, keys, p, real)
        theirs = pointwise.activate_reference(x.clone(), bias, slope, keys, p, real)
        torch.testing.assert_close(ours, theirs, rtol=near, atol=near)
        if keys is not None and real is None:
            mask = dropout_mask(keys, x.shape, p, dtype)
            assert torch.equal(ours[mask == 0], torch.zeros_like(ours[mask == 0])), "another mask"
print("activate")

for channels, slope, p in ((12, 0.0, 0.5), (12, 0.3, 0.2), (10, 0.0, 0.0), (9, 0.3, 0.0), (8, 1.0, 0.4)):
    keys = epoch_keys(0, 0, 1, 9)[0] if p else None
    x = torch.randn(9, channels, 6, 7)
    x[..., :2] = 0  # where an image ends in zeros and a bias is zero still, so are whole borders, of either sign
    x[..., 0] = -0.0
    x = last(x).requires_grad_()
    bias = torch.randn(channels)
    bias[: channels // 2] = 0
    bias.requires_grad_()
    out = pointwise.activate_reference(x + 0, bias, slope, keys, p)
    above = torch.randn(out.shape)
    expected_x, expected_bias = torch.autograd.grad(out, (x, bias), above)
    scale = 1.0 if keys is None else 1 / (1 - p)
    ours = triton_kernels.activate(x.detach(), bias.detach(), slope, keys, p)
    below, bias_gradient = triton_kernels.activate_backward(above, ours, slope, scale, keys is not None)
    torch.testing.assert_close(below, expected_x, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bias_gradient, expected_bias, rtol=1e-4, atol=1e-4)
print("backward")

for nesterov in (False, True):
    how = Recipe(lr=0.1, nesterov=nesterov)
    master, velocity, gradient = (torch.randn(1500, generator=torch.Generator().manual_seed(n)) for n in range(3))
    ours, theirs = (tuple(t.clone() for t in (master, velocity, gradient)) for _ in range(2))
    shadows = [master.bfloat16() for _ in range(2)]
    for update, (w, v, g), shadow in zip(
        (triton_kernels.update, pointwise.update), (ours, theirs), shadows, strict=True
    ):
        update(w, v, g, shadow, torch.tensor(0.1), how)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*shadows, rtol=1e-2, atol=1e-2)
print("update")

few = replace(RECIPE, epochs=1, lr_drops=(), batch=35, augment=Shift(2))  # borders of zeros
for network in (POOLED, LEAKY):
    whole = []
    for kernels_too in (False, True):
        pointwise.has_kernels = lambda _x, answer=kernels_too: answer
        one = small_trainer(network, few)
        [(_, row)] = epochs([one])
        whole.append((weights_of(one.model), row.train_loss))
    torch.testing.assert_close(whole[1], whole[0], rtol=1e-4, atol=1e-5)
print("training")
