"""Elementwise operations, each in as few passes over memory as the device allows.

On a GPU each is one Triton kernel (triton_kernels.py). The torch code here runs on a CPU and is the reference that
tests compare the kernels with.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, relu

from pipeline.numerics.dropout import dropout_mask
from pipeline.paper.recipes import Recipe


def has_kernels(x: Tensor) -> bool:
    """Whether the Triton kernels run on the tensor's device; tests with Triton's interpreter replace this function."""
    return x.is_cuda


def update(
    master_P: Tensor, velocity_P: Tensor, gradient_P: Tensor, shadow_P: Tensor | None, lr: Tensor, recipe: Recipe
) -> None:
    """Update master weights w and velocities v in place, all (P,) float32, with the scalar tensor `lr`.

    v <- momentum * v + (gradient + weight_decay * w);  w <- w - lr * v.
    With Nesterov momentum: w <- w - lr * (gradient + weight_decay * w + momentum * v).
    `shadow_P`, if given, gets a copy of w in its own dtype; the gradient may have any floating-point dtype.
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
    """Apply bias, ReLU and dropout to a convolution's output (N, C, H, W), which may be overwritten.

    No bias if it is None, no ReLU if `slope` is 1 (0: plain, between: leaky), no dropout if the keys (N,) are None.
    Dropout with probability `p` applies to the first `real` channels; None: all.
    """
    if has_kernels(x_NCHW):
        return _Activation.apply(x_NCHW, bias, slope, keys_N, p, real)
    return activate_reference(x_NCHW, bias, slope, keys_N, p, real)


def activate_reference(
    x: Tensor, bias: Tensor | None, slope: float, keys_N: Tensor | None, p: float, real: int | None = None
) -> Tensor:
    """As `activate`, in torch operations."""
    if bias is not None:
        x = x + bias[:, None, None]
    if slope < 1:  # in place: the backward pass of a convolution or a sum does not need its output
        x = leaky_relu(x, slope, inplace=True) if slope else relu(x, inplace=True)
    if keys_N is None:
        return x
    if real is None or real == x.shape[1]:
        return x * dropout_mask(keys_N, x.shape, p, x.dtype)
    return torch.cat([activate_reference(x[:, :real], None, 1.0, keys_N, p), x[:, real:]], 1)


class _Activation(torch.autograd.Function):
    """`activate` by Triton kernels. Only the output is saved: it shows each input's sign and whether it was dropped."""

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
