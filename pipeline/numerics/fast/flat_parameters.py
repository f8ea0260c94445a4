"""All parameters of a model in one vector, updated by one call; the model's own parameters become views of it.

Convolution weights are stored as (out, row, column, in), the channels_last layout, and each parameter begins at a
multiple of 64 values, which the fastest kernels require.

Shapes: P values of all parameters together, with padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.numerics.fast import pointwise
from pipeline.paper.recipes import Recipe

ALIGNED = 64  # values


@dataclass(frozen=True)
class Slot:
    """The part of the vector that holds one parameter."""

    name: str
    begin: int  # index of its first value
    shape: tuple[int, ...]  # as stored: (out, row, column, in) or, for a bias, (out,)
    real: int  # entries of the last dimension that the model has; the others are padding, zero throughout

    @property
    def size(self) -> int:
        """Values, with padded input channels."""
        return torch.Size(self.shape).numel()

    @property
    def padded_size(self) -> int:
        """Values up to the beginning of the next slot."""
        return -(-self.size // ALIGNED) * ALIGNED

    def view_of(self, flat_P: Tensor) -> Tensor:
        """A view of the parameter in the vector, with padded input channels: (out, in, row, column) or (out,)."""
        view = flat_P[self.begin : self.begin + self.size].view(self.shape)
        return view.permute(0, 3, 1, 2) if len(self.shape) == 4 else view

    def parameter_of(self, flat_P: Tensor) -> Tensor:
        """A view of the parameter in the vector, in the shape that it has in the model."""
        return self.view_of(flat_P)[:, : self.real] if len(self.shape) == 4 else self.view_of(flat_P)

    def to_layout(self, gradient: Tensor) -> Tensor:
        """The gradient of `view_of`'s result, flattened in the order in which the vector stores it: (size,)."""
        return (gradient.permute(0, 2, 3, 1) if len(self.shape) == 4 else gradient).reshape(-1)


class FlatParameters:
    """The parameters, velocities and gradient of a model as one vector each, with one update for all.

    `master_P` and `velocity_P` are float32. `compute_P` is the copy in the precision of the forward pass, in float32
    `master_P` itself, and `compute_params` are views of it, one per parameter, that require gradients.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        dtype: torch.dtype = torch.float32,
        channels: int = 3,
        summed: torch.dtype | None = None,
    ):
        """`dtype` is that of the forward pass, `summed` that of the gradient (None: `dtype`).

        The first layer's input channels are padded to `channels`: a GPU's kernels are fastest with multiples of 8.
        """
        named = dict(model.named_parameters())
        device = next(iter(named.values())).device
        self.recipe = recipe
        self.slots = _slots(named, channels)
        length = self.slots[-1].begin + self.slots[-1].padded_size
        self.master_P = torch.zeros(length, device=device)
        self.velocity_P = torch.zeros_like(self.master_P)
        self.gradient_P = torch.zeros_like(self.master_P, dtype=summed or dtype)
        for slot, parameter in zip(self.slots, named.values(), strict=True):
            slot.parameter_of(self.master_P).copy_(parameter.detach())
            parameter.data = slot.parameter_of(self.master_P)
        self.velocities = {slot.name: slot.parameter_of(self.velocity_P) for slot in self.slots}
        self.compute_P = self.master_P if dtype is torch.float32 else self.master_P.to(dtype)
        self.compute_params = [slot.view_of(self.compute_P).detach().requires_grad_() for slot in self.slots]
        self._pads = [torch.zeros(p.padded_size - p.size, dtype=dtype, device=device) for p in self.slots]

    def refresh_compute(self) -> None:
        """Copy the master weights to the compute weights, after the model's parameters were set from outside."""
        if self.compute_P is not self.master_P:
            self.compute_P.copy_(self.master_P)

    def gather(self, gradients: Sequence[Tensor]) -> None:
        """Copy the gradients of `compute_params` into `gradient_P`."""
        laid = [slot.to_layout(gradient) for slot, gradient in zip(self.slots, gradients, strict=True)]
        torch.cat([part for pair in zip(laid, self._pads, strict=True) for part in pair], out=self.gradient_P)

    @torch.no_grad()
    def update(self, lr: Tensor) -> None:
        """One update as by reference_loop.Momentum, from `gradient_P`.

        `lr` is a scalar on the device, because a CUDA graph reads it again at every replay.
        """
        shadow = None if self.compute_P is self.master_P else self.compute_P
        pointwise.update(self.master_P, self.velocity_P, self.gradient_P, shadow, lr, self.recipe)


def _slots(named: dict[str, nn.Parameter], channels: int) -> list[Slot]:
    slots: list[Slot] = []
    begin = 0
    for name, parameter in named.items():
        if parameter.dim() == 4:
            out, inner, high, wide = parameter.shape
            padded = max(inner, channels) if not slots else inner
            slot = Slot(name, begin, (out, high, wide, padded), inner)
        else:
            slot = Slot(name, begin, tuple(parameter.shape), parameter.shape[-1])
        slots.append(slot)
        begin += slot.padded_size
    return slots
