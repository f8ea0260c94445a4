"""All weights of a model as one vector, updated at once; the model's own parameters become views of it.

Convolution weights lie in it as (out, row, column, in), which is channels last, and every slot begins at a multiple
of 64 values, so that the fastest kernels can read it.
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
    """Where one parameter lies."""

    name: str
    begin: int
    shape: tuple[int, ...]  # as it lies: (out, row, column, in), or (out,)
    real: int  # of the last dimension: what lies behind is zero and stays zero

    @property
    def size(self) -> int:
        return torch.Size(self.shape).numel()

    @property
    def padded_size(self) -> int:
        return -(-self.size // ALIGNED) * ALIGNED

    def view_of(self, flat_P: Tensor) -> Tensor:
        """The parameter in the vector, with what pads it."""
        view = flat_P[self.begin : self.begin + self.size].view(self.shape)
        return view.permute(0, 3, 1, 2) if len(self.shape) == 4 else view

    def parameter_of(self, flat_P: Tensor) -> Tensor:
        """The parameter in the vector, as the model has it."""
        return self.view_of(flat_P)[:, : self.real] if len(self.shape) == 4 else self.view_of(flat_P)

    def to_layout(self, gradient: Tensor) -> Tensor:
        """A gradient in the order in which the parameter lies."""
        return (gradient.permute(0, 2, 3, 1) if len(self.shape) == 4 else gradient).reshape(-1)


class FlatParameters:
    """Momentum's update on one vector; `leaves` are what the forward pass uses, in its precision."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        dtype: torch.dtype = torch.float32,
        channels: int = 3,
        summed: torch.dtype | None = None,
    ):
        """`channels` pads the image's: kernels like multiples of 8. Gradients lie in `summed`, else in `dtype`."""
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
        """The model's parameters were set from outside: the forward pass shall use them."""
        if self.compute_P is not self.master_P:
            self.compute_P.copy_(self.master_P)

    def gather(self, gradients: Sequence[Tensor]) -> None:
        """The gradients of the leaves, side by side."""
        laid = [slot.to_layout(gradient) for slot, gradient in zip(self.slots, gradients, strict=True)]
        torch.cat([part for pair in zip(laid, self._pads, strict=True) for part in pair], out=self.gradient_P)

    @torch.no_grad()
    def update(self, lr: Tensor) -> None:
        """As train.Momentum has it; `lr` is a value on the device, which a graph reads anew at every replay."""
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
