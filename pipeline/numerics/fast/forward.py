"""The forward pass of a network in training, computed from its table of layers and from weights in any precision.

It gives the same class scores as `model.build`'s model, up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from pipeline.numerics.fast import pointwise
from pipeline.numerics.fast.pointwise import activate
from pipeline.paper.layers import Conv, Dropout, Layer, Pool
from pipeline.paper.networks import Network


@dataclass(frozen=True)
class Row:
    """A convolution with the pooling and the dropout that follow it, or one of these if no convolution precedes it."""

    layer: Layer
    pool: Pool | None = None
    drop: float = 0.0  # probability
    number: int = -1  # of the dropout among all dropout layers of the network, from 0; -1: no dropout


def rows(network: Network) -> list[Row]:
    """The network's layers, with those that can be computed together in one row."""
    out: list[Row] = []
    number = 0
    for layer in network.layers:
        before = out[-1] if out else None
        match layer:
            case Pool() if before and isinstance(before.layer, Conv) and not before.pool and before.number < 0:
                out[-1] = replace(before, pool=layer)
            case Dropout() if before and before.number < 0:
                out[-1] = replace(before, drop=layer.p, number=number)
            case Dropout():
                out.append(Row(layer, None, layer.p, number))
            case _:
                out.append(Row(layer))
        number += isinstance(layer, Dropout)
    return out


def logits(table: Sequence[Row], leaves: Sequence[Tensor], x: Tensor, keys_LB: Tensor, real: int = 3) -> Tensor:
    """Class scores (B, classes), float32, of images (B, C, H, W), with dropout.

    `leaves` are weight and bias of every convolution in order (`FlatParameters.compute_params`), in the dtype of the
    images. `keys_LB` are the dropout keys. Of the C channels the first `real` are the image's, the others padding.
    """
    weights = iter(leaves)
    for row in table:
        keys = keys_LB[row.number] if row.drop else None
        match row.layer:
            case Conv():
                x = _convolved(row, row.layer, x, next(weights), next(weights), keys)
            case Pool():
                x = activate(_pooled(x, row.layer), None, 1.0, keys, row.drop)
            case Dropout():
                x = activate(x, None, 1.0, keys, row.drop, real)
    return x.mean((2, 3), dtype=torch.float32)


def _convolved(row: Row, layer: Conv, x: Tensor, weight: Tensor, bias: Tensor, keys: Tensor | None) -> Tensor:
    """Pooling comes before the ReLU: the result is the same, and the ReLU has fewer values to process."""
    later = pointwise.has_kernels(x)  # on a CPU, oneDNN adds the bias as part of the convolution
    x = conv2d(x, weight, None if later else bias, layer.stride, layer.padding)
    if row.pool:
        x = _pooled(x, row.pool)
    return activate(x, bias if later else None, layer.slope if layer.relu else 1.0, keys, row.drop)


def _pooled(x: Tensor, pool: Pool) -> Tensor:
    if x.is_cuda and torch.backends.cudnn.deterministic:  # with channels_last its backward pass sums in varying order
        x = x.contiguous()
        return max_pool2d(x, pool.size, pool.stride, ceil_mode=True).contiguous(memory_format=torch.channels_last)
    return max_pool2d(x, pool.size, pool.stride, ceil_mode=True)
