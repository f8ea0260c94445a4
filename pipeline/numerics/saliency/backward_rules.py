"""Backward passes of ReLU and max-pooling for saliency maps (section 3.4, Figure 1), in place of autograd's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import UserError, unknown_name
from pipeline.numerics.saliency.module_hooks import replace_modules
from pipeline.paper.relu_rules import RULES

RECTIFIERS = (nn.ReLU, nn.LeakyReLU)


@dataclass
class BackwardRule:
    """How the signal passes back. Fields may be changed between two backward passes over the same forward pass."""

    rule: str = "guided"  # one of RULES in paper/relu_rules.py
    switches: bool = True  # max-pooling sends the signal to the position of the maximum; False: evenly over its window

    def through(self, above: Tensor, out: Tensor, slope: float) -> Tensor:
        """The signal below a ReLU, from the signal `above` it and its output `out`, all of one shape.

        `slope` is that of a leaky ReLU, 0 for a plain one. UserError for an unknown rule.
        """
        match self.rule:
            case "backprop":
                return _gated(above, out, slope)
            case "deconvnet":
                return _rectified(above, slope)
            case "guided":
                # two factors, each 1 or `slope`: the order of the multiplications does not matter
                passed = _gated(above, out, slope)
                return passed.relu_() if slope == 0 else passed * torch.where(above > 0, 1.0, slope).to(passed.dtype)
        raise unknown_name("method", self.rule, RULES)


def _gated(signal: Tensor, out: Tensor, slope: float) -> Tensor:
    """The signal where the forward pass was positive; times `slope` elsewhere."""
    if slope == 0:
        return torch.ops.aten.threshold_backward(signal, out, 0)
    return torch.ops.aten.leaky_relu_backward(signal, out, slope, True)


def _rectified(x: Tensor, slope: float) -> Tensor:
    return torch.relu(x) if slope == 0 else F.leaky_relu(x, slope)


class _Rectify(torch.autograd.Function):
    """A ReLU that reads its rule during the backward pass: from R' above to R below, with slope s and output f,

    backprop R = (f > 0 ? 1 : s) R', deconvnet R = (R' > 0 ? 1 : s) R', guided R = both factors times R'. At s = 0 these
    are the paper's rules (Figure 1c). At any s, deconvnet applies to the signal the same ReLU as to the activation.
    """

    @staticmethod
    def forward(ctx, x: Tensor, slope: float, way: BackwardRule) -> Tensor:
        out = _rectified(x, slope)
        ctx.save_for_backward(out)
        ctx.slope, ctx.way = slope, way
        return out

    @staticmethod
    def backward(ctx, *above: Tensor):
        (out,) = ctx.saved_tensors
        return ctx.way.through(above[0], out, ctx.slope), None, None


class _Pool(torch.autograd.Function):
    """Max-pooling that sends the signal back to the maximum (the first of equal ones), or evenly over the window."""

    @staticmethod
    def forward(ctx, x: Tensor, pool: nn.MaxPool2d, way: BackwardRule) -> Tensor:
        size, stride, padding, dilation = _geometry(pool)
        out, switches = F.max_pool2d_with_indices(x, size, stride, padding, dilation, pool.ceil_mode)
        ctx.save_for_backward(x, switches)
        ctx.pool, ctx.way = pool, way
        return out

    @staticmethod
    def backward(ctx, *above: Tensor):
        x, switches = ctx.saved_tensors
        size, stride, padding, dilation = _geometry(ctx.pool)
        ceil = ctx.pool.ceil_mode
        back = torch.ops.aten
        if ctx.way.switches:
            below = back.max_pool2d_with_indices_backward(
                above[0], x, _two(size), _two(stride), _two(padding), _two(dilation), ceil, switches
            )
        elif _two(dilation) != [1, 1]:
            raise UserError("max-pooling with dilation goes back by its switches alone: ask for them")
        else:
            below = back.avg_pool2d_backward(
                above[0], x, _two(size), _two(stride), _two(padding), ceil, False, None
            )  # divided by the number of the window's pixels that are inside the map
        return below, None, None


def _geometry(pool: nn.MaxPool2d) -> tuple:
    return pool.kernel_size, pool.stride, pool.padding, pool.dilation


def _two(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


@contextmanager
def with_backward_rule(model: nn.Module, way: BackwardRule) -> Iterator[None]:
    """Within the context, every nn.ReLU, nn.LeakyReLU and nn.MaxPool2d passes the signal back as `way` says.

    None of them works in place then. The model is in eval mode, and its parameters require no gradient.
    """

    def of(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
        if isinstance(module, RECTIFIERS):
            slope = getattr(module, "negative_slope", 0.0)
            return lambda x: _Rectify.apply(x, slope, way)
        if isinstance(module, nn.MaxPool2d) and not module.return_indices:
            return lambda x: _Pool.apply(x, module, way)
        return None

    with replace_modules(model, of):
        yield
