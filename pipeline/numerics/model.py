"""From the paper's table of layers to a live model. Every ReLU is a module of its own: saliency must reach it."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from pipeline.numerics.dropout import KeyedDropout
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import Network


class GlobalAverage(nn.Module):
    """The mean over all positions: (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def build(network: Network) -> nn.Sequential:
    """The model of a network: images (N, channels, side, side) -> class scores (N, classes). Weights are not set."""
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
    """Copy the convolutions of `source`, in order, into a model that differs in other layers alone."""
    pairs = zip(_convs(source), _convs(target), strict=True)
    for from_, to in pairs:
        to.load_state_dict(from_.state_dict())


def _convs(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
