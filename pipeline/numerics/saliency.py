"""Guided backpropagation (section 3.4 and Figure 1): which pixels speak for a class."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def guided(model: nn.Module) -> Iterator[None]:
    """Inside, dropout is off and every nn.ReLU passes back only what is positive: R = (f > 0) (R' > 0) R' (Figure 1c).

    The model is as it was afterwards, also after an error.
    """

    def rectify(_module: nn.Module, passed: tuple[Tensor, ...] | Tensor, _above: object) -> tuple[Tensor, ...]:
        return tuple(signal.clamp(min=0) for signal in passed)

    hooks = [m.register_full_backward_hook(rectify) for m in model.modules() if isinstance(m, nn.ReLU)]
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()


def class_maps(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Guided-backpropagation maps of each image's class score before the softmax: (N, C, H, W) -> (N, C, H, W)."""
    pixels = images.detach().requires_grad_()
    with guided(model), torch.enable_grad():
        scores = model(pixels).gather(1, classes[:, None])
        (maps,) = torch.autograd.grad(scores.sum(), pixels)
    return maps
