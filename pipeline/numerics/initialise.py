"""Weight initialisation by name; the paper states none. Biases start at 0."""

import torch
from torch import nn

from pipeline.numerics.batches import Images
from pipeline.numerics.streams import stream


@torch.no_grad()
def initialise(model: nn.Sequential, how: str, seed: int, data: Images) -> None:
    """Set the weights of every convolution as a function of (how, seed) and, for lsuv, of the first images."""
    convs = [module for module in model if isinstance(module, nn.Conv2d)]
    for layer, conv in enumerate(convs):
        _DRAWS[how](conv.weight, stream(seed, "initialise", layer))
        conv.bias.zero_()


def _xavier(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Caffe's: uniform with variance 1 / fan_in."""
    limit = (3 / weight[0].numel()) ** 0.5
    weight.uniform_(-limit, limit, generator=generator)


def _he(weight: torch.Tensor, generator: torch.Generator) -> None:
    """He et al. (2015): normal with variance 2 / fan_in."""
    weight.normal_(0, (2 / weight[0].numel()) ** 0.5, generator=generator)


_DRAWS = {"xavier": _xavier, "he": _he, "lsuv": _he}
