"""A network's table computed directly: the numbers of network.build's model, from weights in any precision."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from pipeline.numerics.fast.fused import activate
from pipeline.paper.layers import Conv, Drop, Layer, Pool
from pipeline.paper.networks import Network


@dataclass(frozen=True)
class Row:
    """A convolution or pool with the dropout behind it; a dropout alone stands on the image."""

    layer: Layer
    drop: float = 0.0
    number: int = -1  # of the dropout among all


def rows(network: Network) -> list[Row]:
    """The table with every dropout joined to the layer before it."""
    out: list[Row] = []
    number = 0
    for layer in network.layers:
        if not isinstance(layer, Drop):
            out.append(Row(layer))
            continue
        if out and out[-1].number < 0:
            out[-1] = Row(out[-1].layer, layer.share, number)
        else:
            out.append(Row(layer, layer.share, number))
        number += 1
    return out


def scores(table: Sequence[Row], leaves: Sequence[Tensor], x: Tensor, keys_LB: Tensor, real: int = 3) -> Tensor:
    """Class scores (B, classes) of images (B, C, H, W) as in training, float32; `real` of the channels hold colours."""
    weights = iter(leaves)
    for row in table:
        keys = keys_LB[row.number] if row.drop else None
        match row.layer:
            case Conv():
                x = _convolved(row.layer, x, next(weights), next(weights), keys, row.drop)
            case Pool(size=size, stride=stride):
                x = activate(_pooled(x, size, stride), None, 1.0, keys, row.drop)
            case Drop():
                x = activate(x, None, 1.0, keys, row.drop, real)
    return x.mean((2, 3), dtype=torch.float32)


def _pooled(x: Tensor, size: int, stride: int) -> Tensor:
    if x.is_cuda and torch.backends.cudnn.deterministic:  # channels last, its backward pass adds in any order
        x = x.contiguous()
        return max_pool2d(x, size, stride, ceil_mode=True).contiguous(memory_format=torch.channels_last)
    return max_pool2d(x, size, stride, ceil_mode=True)


def _convolved(layer: Conv, x: Tensor, weight: Tensor, bias: Tensor, keys: Tensor | None, drop: float) -> Tensor:
    slope = layer.slope if layer.rectify else 1.0
    if x.is_cuda:
        return activate(conv2d(x, weight, None, layer.stride, layer.padding), bias, slope, keys, drop)
    return activate(conv2d(x, weight, bias, layer.stride, layer.padding), None, slope, keys, drop)  # oneDNN adds it
