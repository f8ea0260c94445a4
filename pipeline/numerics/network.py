"""From the paper's table of layers to a live model. Every ReLU is a module of its own: saliency must reach it."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from pipeline.numerics.streams import stream
from pipeline.paper.layers import Conv, Drop, Pool
from pipeline.paper.networks import Network


class Dropout(nn.Module):
    """Dropout whose masks follow from (seed, layer, epoch) and the order of the batches; see `begin_epoch`."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        if self.generator is None:
            raise RuntimeError("call begin_epoch(model, seed, epoch) before training a model with dropout")
        keep = torch.empty_like(x).bernoulli_(1 - self.share, generator=self.generator)
        return x * keep.div_(1 - self.share)

    def extra_repr(self) -> str:
        return f"share={self.share}"


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
                if layer.rectify:
                    modules[f"relu{number}"] = nn.LeakyReLU(layer.slope) if layer.slope else nn.ReLU()
            case Pool():
                modules[f"pool{number}"] = nn.MaxPool2d(layer.size, layer.stride, ceil_mode=True)
            case Drop():
                modules[f"drop{number}"] = Dropout(layer.share)
    modules["average"] = GlobalAverage()
    return nn.Sequential(modules).to(memory_format=torch.channels_last)


def begin_epoch(model: nn.Module, seed: int, epoch: int) -> None:
    """Point every dropout layer at the masks of this epoch."""
    device = next(model.parameters()).device
    for layer, module in enumerate(m for m in model.modules() if isinstance(m, Dropout)):
        module.generator = stream(seed, "dropout", layer, epoch, device=device)


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
