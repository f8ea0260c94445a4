"""Sanity checks for saliency maps (Adebayo et al. 2018): the network forgets, layer by layer, what it has learned."""

import copy
from collections.abc import Iterator

import torch
from torch import nn

from pipeline.numerics.random_streams import generator_for


def randomize_cascade(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Copies of the model with its weighted layers made random one after the other, from the scores down to the pixels.

    Each comes with the name of the layer that was made random last. A layer's weights, and its biases, are shuffled:
    their distribution stays, what was learned goes.
    """
    random = copy.deepcopy(model)
    weighted = [(name, module) for name, module in random.named_modules() if list(module.parameters(recurse=False))]
    for depth, (name, module) in reversed(list(enumerate(weighted))):
        for which, parameter in enumerate(module.parameters(recurse=False)):
            order = torch.randperm(parameter.numel(), generator=generator_for(seed, "cascade", depth, which))
            flat = parameter.detach().flatten()
            parameter.data = flat[order.to(flat.device)].view_as(parameter).to(memory_format=_format(parameter))
        yield name, copy.deepcopy(random)


def _format(parameter: torch.Tensor) -> torch.memory_format:
    return torch.channels_last if parameter.dim() == 4 else torch.contiguous_format
