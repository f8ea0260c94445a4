"""PyTorch models built from the paper's tables of layers (Tables 1, 2, 5 and 6).

Every ReLU is a separate module, so that saliency methods can replace its backward pass.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from pipeline.numerics.dropout import KeyedDropout
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import Network


class GlobalAverage(nn.Module):
    """Global average pooling: (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def build(network: Network) -> nn.Sequential:
    """Build the model of a network: float32 images (N, channels, side, side) -> class scores (N, classes).

    Modules are named by kind and by row of the table, from 1: conv1, relu1, drop2, pool3; the last is `average`.
    Weights are torch's defaults until `initialize` sets them. The memory format is channels_last.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = network.channels
    for number, layer in enumerate(network.layers, 1):
        match layer:
            case Conv():
                conv = nn.Conv2d(channels, layer.width, layer.size, layer.stride, layer.padding)
                modules[f"conv{number}"], channels = conv, layer.width
                if layer.relu:
                    modules[f"relu{number}"] = nn.LeakyReLU(layer.slope) if layer.slope else nn.ReLU()
            case Pool():
                modules[f"pool{number}"] = nn.MaxPool2d(layer.size, layer.stride, ceil_mode=True)
            case Dropout():
                modules[f"drop{number}"] = KeyedDropout(layer.p)
    modules["average"] = GlobalAverage()
    return nn.Sequential(modules).to(memory_format=torch.channels_last)


@torch.no_grad()
def transplant(source: nn.Module, target: nn.Module) -> None:
    """Copy weights and biases of all convolutions of `source`, in order, to those of `target`.

    The models may differ in all other layers. RuntimeError where the shapes of two convolutions differ; ValueError
    where one model has more convolutions.
    """
    pairs = zip(_convs(source), _convs(target), strict=True)
    for from_, to in pairs:
        to.load_state_dict(from_.state_dict())


def _convs(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def count_parameters(model: nn.Module) -> int:
    """The number of weights and biases."""
    return sum(p.numel() for p in model.parameters())
