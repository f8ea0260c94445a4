"""Saliency maps of single units (section 3.4) by backpropagation, deconvnet or guided backpropagation.

The backward pass starts with 1 at one unit of each image and ends at the pixels. All three rules are positively
homogeneous: a start of 2 would double the map. If the unit is an output of a ReLU, the rule applies to that ReLU too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pipeline.errors import UserError, unknown_name
from pipeline.numerics.saliency.backward_rules import BackwardRule, with_backward_rule
from pipeline.numerics.saliency.coverage_check import check
from pipeline.numerics.saliency.module_hooks import output_of
from pipeline.paper.relu_rules import RULES

WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True)
class Target:
    """The units to explain: one unit of one layer for each of N images."""

    channels_N: Tensor | None = None  # int64, classes for the model's output; None: each image's strongest channel
    layer: str | None = None  # a module's name; None: the model's output
    places_N2: Tensor | None = None  # row and column, int64; None: where the channel is strongest in the image


def maps(
    model: nn.Module,
    images: Tensor,
    target: Target,
    rule: str = "guided",
    switches: bool = True,
    checked: bool = False,
) -> Tensor:
    """The saliency maps (N, C, H, W) of each image's target by one rule, in the images' dtype.

    Without `switches`, max-pooling distributes the signal evenly over its window instead of sending it to the maximum.
    UserError for an unknown rule or layer, a target out of range, or a model with activations that the rules do not
    reach; `checked` skips this last check, after an earlier call. The model is left as it was.
    """
    return attributions(model, images, target, (rule,), (switches,), checked)[rule, switches]


def attributions(
    model: nn.Module,
    images: Tensor,
    target: Target,
    rules: Sequence[str] = tuple(RULES),
    switches: Sequence[bool] = (True,),
    checked: bool = False,
) -> dict[tuple[str, bool], Tensor]:
    """As `maps`, for several rules with one forward pass: {(rule, switches): maps (N, C, H, W)}."""
    return explained(model, images, target, rules, switches, checked)[0]


def explained(
    model: nn.Module, images: Tensor, target: Target, rules: Sequence[str], switches: Sequence[bool], checked: bool
) -> tuple[dict[tuple[str, bool], Tensor], Target]:
    """As `attributions`, and the target with all channels and places filled in that it left as None."""
    for rule in rules:
        if rule not in RULES:
            raise unknown_name("method", rule, RULES)
    if not checked:
        check(model, images, target.layer)
    ways = [(rule, by) for rule in rules for by in switches]
    way, out = BackwardRule(), {}
    with torch.inference_mode(False), torch.enable_grad(), with_backward_rule(model, way):
        pixels = images.detach().clone().requires_grad_()
        output = output_of(model, pixels, target.layer)
        target = _found(output.detach(), target)
        start = _start(output, target)
        for number, (way.rule, way.switches) in enumerate(ways, 1):
            (out[way.rule, way.switches],) = torch.autograd.grad(output, pixels, start, retain_graph=number < len(ways))
    return out, target


def _found(output: Tensor, target: Target) -> Target:
    """The target with all channels and places filled in; UserError where the layer does not have them."""
    channels, places = target.channels_N, target.places_N2
    if channels is None:
        channels = (output if output.dim() == 2 else output.flatten(2).amax(2)).argmax(1)
    if not isinstance(channels, Tensor) or channels.dim() != 1 or channels.dtype not in WHOLE:
        found = f"{channels.dtype} {tuple(channels.shape)}" if isinstance(channels, Tensor) else repr(channels)
        raise UserError(f"the classes must be a tensor with a whole number for each image, not {found}")
    channels = channels.long()
    if len(channels) != len(output):
        raise UserError(f"{len(output)} images want as many channels, not {len(channels)}")
    _within("channel", channels, output.shape[1])
    if output.dim() == 2:
        if places is not None:
            raise UserError("this layer has one value a channel: give no places")
        return replace(target, channels_N=channels)
    if places is None:
        places = top_positions(output[torch.arange(len(output)), channels])
    for name, place, size in zip(("row", "column"), places.unbind(1), output.shape[2:], strict=True):
        _within(name, place, size)
    return replace(target, channels_N=channels, places_N2=places)


def _start(output: Tensor, target: Target) -> Tensor:
    """The signal at the start of the backward pass: 1 at each image's unit, 0 elsewhere."""
    start, each = torch.zeros_like(output), torch.arange(len(output))
    if target.places_N2 is None:
        start[each, target.channels_N] = 1
    else:
        start[each, target.channels_N, target.places_N2[:, 0], target.places_N2[:, 1]] = 1
    return start


def top_positions(map_NHW: Tensor) -> Tensor:
    """Row and column of the maximum of each map (N, H, W), the first of several: (N, 2) int64."""
    flat = map_NHW.flatten(1).argmax(1)
    return torch.stack([flat // map_NHW.shape[2], flat % map_NHW.shape[2]], 1)


def _within(what: str, index: Tensor, size: int) -> None:
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
        wrong = int(index.min()) if index.min() < 0 else int(index.max())
        raise UserError(f"there is no {what} {wrong}: this layer's go from 0 to {size - 1}")


def patterns(model: nn.Module, layer: str, channels_K: Tensor, place: tuple[int, int], image: Tensor) -> Tensor:
    """Deconvolution without an image: the maps (K, C, H, W) of the unit at `place` (row, column) of K channels.

    The deconvnet rule ignores the forward pass, and max-pooling works without switches here, so of `image` (C, H, W)
    only the shape, the dtype and the device matter. For a network without max-pooling the maps are exact; with it they
    are the average over all possible positions of the maxima.
    """
    blank = torch.zeros_like(image).expand(len(channels_K), *image.shape)
    target = Target(channels_K, layer, torch.tensor(place).expand(len(channels_K), 2))
    return maps(model, blank, target, "deconvnet", switches=False)
