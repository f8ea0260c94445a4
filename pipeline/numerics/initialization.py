"""Weight initialization by name. The paper states none; paper/READING.md says which one the recipes use and why."""

import torch
from torch import Tensor, nn

from pipeline.numerics.random_streams import generator_for

SAMPLE = 256  # training images that a data-dependent initialization uses


@torch.no_grad()
def initialize(
    model: nn.Sequential, how: str, seed: int, sample: Tensor | None = None, score_bias: float = 0.0
) -> None:
    """Set weights and biases of every convolution in place, by one of INITIALIZATIONS in paper/recipes.py.

    The weights are a function of (how, seed) and, with "data-dependent", of `sample`: training images (N, C, H, W)
    float32, preprocessed but not augmented; ValueError without it. Biases become 0 or, with "data-dependent", follow
    from the sample. `score_bias` is added to those of the last convolution, which computes the class scores.
    """
    convs = [module for module in model if isinstance(module, nn.Conv2d)]
    for layer, conv in enumerate(convs):
        _DRAWS[how](conv, generator_for(seed, "initialise", layer))
        _bias(conv).zero_()
    if how == "data-dependent":
        if sample is None:
            raise ValueError("a data-dependent initialization needs the training images")
        _fit_to(sample, model, last=convs[-1])
    _bias(convs[-1]).add_(score_bias)


def _fit_to(x: Tensor, model: nn.Sequential, last: nn.Conv2d) -> None:
    """Scale every convolution such that each output channel has mean 0 and standard deviation 1 on the sample `x`.

    This follows Krähenbühl et al. (2016). The class scores get mean and standard deviation 0.5 instead: a ReLU follows
    them, and with mean 0 it would set half of them to zero.
    """
    was_training = model.training
    model.eval()
    for module in model:
        if isinstance(module, nn.Conv2d):
            spread = 0.5 if module is last else 1.0
            deviation_C = module(x).std((0, 2, 3)).clamp_min(1e-8)
            module.weight.mul_((spread / deviation_C)[:, None, None, None])
            _bias(module).copy_((0.5 if module is last else 0.0) - module(x).mean((0, 2, 3)))
        x = module(x)
    model.train(was_training)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _xavier(conv: nn.Conv2d, generator: torch.Generator) -> None:
    """Caffe's "xavier": uniform with variance 1 / fan_in."""
    limit = (3 / conv.weight[0].numel()) ** 0.5
    conv.weight.uniform_(-limit, limit, generator=generator)


def _glorot(conv: nn.Conv2d, generator: torch.Generator) -> None:
    """Uniform with variance 2 / (fan_in + fan_out), with fan_out divided by the squared stride as in Graham's code."""
    fan_out = conv.weight[:, 0].numel() / conv.stride[0] ** 2
    limit = (6 / (conv.weight[0].numel() + fan_out)) ** 0.5
    conv.weight.uniform_(-limit, limit, generator=generator)


def _he(conv: nn.Conv2d, generator: torch.Generator) -> None:
    """He et al. (2015): normal with variance 2 / fan_in."""
    conv.weight.normal_(0, (2 / conv.weight[0].numel()) ** 0.5, generator=generator)


def _normal(conv: nn.Conv2d, generator: torch.Generator) -> None:
    """Normal with standard deviation 0.05 in every layer, as in two public reproductions."""
    conv.weight.normal_(0, 0.05, generator=generator)


_DRAWS = {"xavier": _xavier, "glorot": _glorot, "he": _he, "normal": _normal, "data-dependent": _he}
