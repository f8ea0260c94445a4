"""Randomized networks for the sanity checks of saliency maps by Adebayo et al. (2018)."""

import copy
from collections.abc import Iterator

import torch
from torch import nn

from pipeline.numerics.random_streams import generator_for


def randomize_cascade(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Yield (layer's name, copy of the model), with one more layer randomized each time, from the last to the first.

    The name is that of the layer randomized last. The weights of a layer are shuffled, and so are its biases, which
    keeps their distributions. Equal seeds give equal copies.
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
