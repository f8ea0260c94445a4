"""Pointwise work in as few passes as the device allows: plain torch here, one Triton kernel each on a GPU.

What stands here in torch is the meaning of the kernels in triton_kernels.py, and what a CPU runs.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, relu

from pipeline.numerics.dropout import dropout_mask
from pipeline.paper.recipes import Recipe


def has_kernels(x: Tensor) -> bool:
    """Whether the tensor lies where the Triton kernels run; a test in Triton's interpreter says yes for a CPU."""
    return x.is_cuda


def update(
    master_P: Tensor, velocity_P: Tensor, gradient_P: Tensor, shadow_P: Tensor | None, lr: Tensor, recipe: Recipe
) -> None:
    """v <- momentum v + (gradient + decay w);  w <- w - lr v; the shadow, if any, follows in its own precision.

    Nesterov's: w <- w - lr (gradient + decay w + momentum v).
    """
    if has_kernels(master_P):
        from pipeline.numerics.fast import triton_kernels

        return triton_kernels.update(master_P, velocity_P, gradient_P, shadow_P, lr, recipe)
    gradient = torch.add(gradient_P, master_P, alpha=recipe.weight_decay)
    velocity_P.mul_(recipe.momentum).add_(gradient)
    step = gradient.add_(velocity_P, alpha=recipe.momentum) if recipe.nesterov else velocity_P
    master_P.addcmul_(step, lr, value=-1)
    if shadow_P is not None:
        shadow_P.copy_(master_P)


def activate(
    x_NCHW: Tensor, bias: Tensor | None, slope: float, keys_N: Tensor | None, p: float, real: int | None = None
) -> Tensor:
    """Bias, ReLU and dropout of what a convolution left, in its place; no keys, no dropout.

    A slope of 1 is no ReLU. Of the channels the first `real` are dropped from; None: all.
    """
    if has_kernels(x_NCHW):
        return _Activation.apply(x_NCHW, bias, slope, keys_N, p, real)
    return activate_reference(x_NCHW, bias, slope, keys_N, p, real)


def activate_reference(
    x: Tensor, bias: Tensor | None, slope: float, keys_N: Tensor | None, p: float, real: int | None = None
) -> Tensor:
    """The same by torch alone."""
    if bias is not None:
        x = x + bias[:, None, None]
    if slope < 1:  # in place: no backward pass of a convolution or a sum looks at what left it
        x = leaky_relu(x, slope, inplace=True) if slope else relu(x, inplace=True)
    if keys_N is None:
        return x
    if real is None or real == x.shape[1]:
        return x * dropout_mask(keys_N, x.shape, p, x.dtype)
    return torch.cat([activate_reference(x[:, :real], None, 1.0, keys_N, p), x[:, real:]], 1)


class _Activation(torch.autograd.Function):
    """What left the layer tells what came in: whether it was kept, and its sign."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, slope: float, keys: Tensor | None, p: float, real):
        from pipeline.numerics.fast import triton_kernels

        out = triton_kernels.activate(x, bias, slope, keys, p, real)
        ctx.save_for_backward(out)
        ctx.slope, ctx.scale = slope, 1.0 if keys is None else 1 / (1 - p)
        ctx.biased, ctx.dropped = bias is not None, keys is not None
        return out

    @staticmethod
    def backward(ctx: Any, *above: Tensor):
        from pipeline.numerics.fast import triton_kernels

        [out] = ctx.saved_tensors
        below, bias = triton_kernels.activate_backward(above[0], out, ctx.slope, ctx.scale, ctx.dropped)
        return below, bias if ctx.biased else None, None, None, None, None
