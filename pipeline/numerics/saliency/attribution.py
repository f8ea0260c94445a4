"""Which pixels speak for a unit (section 3.4): backpropagation, deconvnet and guided backpropagation, image by image.

The signal starts as 1 at one unit of every image and goes back to the pixels; all three rules pass on a multiple of the
signal as that multiple of the map. Of a unit behind a ReLU, its own ReLU is part of the way.
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


@dataclass(frozen=True)
class Target:
    """What is explained: of each image one unit of one layer."""

    channels_N: Tensor | None = None  # int64; of the model's output the classes. None: each image's strongest
    layer: str | None = None  # a module's name; None: the model's output
    places_N2: Tensor | None = None  # row and column; None: where the channel is strongest in this image


def maps(
    model: nn.Module,
    images: Tensor,
    target: Target,
    rule: str = "guided",
    switches: bool = True,
    checked: bool = False,
) -> Tensor:
    """Maps (N, C, H, W) of each image's target by one rule; the model comes back as it was.

    `switches` off: a max-pool sends its value back evenly over its window, not to where the maximum was. A model with
    rectifiers that the rules do not reach is refused; `checked` says that a call before found none.
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
    """The maps by several rules over one forward pass, by (rule, switches)."""
    return explained(model, images, target, rules, switches, checked)[0]


def explained(
    model: nn.Module, images: Tensor, target: Target, rules: Sequence[str], switches: Sequence[bool], checked: bool
) -> tuple[dict[tuple[str, bool], Tensor], Target]:
    """The maps as `compared` has them, and the target with every channel and place that was left open filled in."""
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
    """The target with nothing left open; refused when it is not there."""
    channels, places = target.channels_N, target.places_N2
    if channels is None:
        channels = (output if output.dim() == 2 else output.flatten(2).amax(2)).argmax(1)
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
    """1 at every image's unit, 0 elsewhere."""
    start, each = torch.zeros_like(output), torch.arange(len(output))
    if target.places_N2 is None:
        start[each, target.channels_N] = 1
    else:
        start[each, target.channels_N, target.places_N2[:, 0], target.places_N2[:, 1]] = 1
    return start


def top_positions(map_NHW: Tensor) -> Tensor:
    """Row and column of each map's maximum, the first of equals: (N, 2)."""
    flat = map_NHW.flatten(1).argmax(1)
    return torch.stack([flat // map_NHW.shape[2], flat % map_NHW.shape[2]], 1)


def _within(what: str, index: Tensor, size: int) -> None:
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
        wrong = int(index.min()) if index.min() < 0 else int(index.max())
        raise UserError(f"there is no {what} {wrong}: this layer's go from 0 to {size - 1}")


def patterns(model: nn.Module, layer: str, channels_K: Tensor, place: tuple[int, int], image: Tensor) -> Tensor:
    """Deconvolution without an image: what one unit of each channel sends down to the pixels, (K, C, H, W).

    No rectifier looks at the forward pass and pools send evenly, so of `image` (C, H, W) only the shape counts. Exact
    for a network without pools; of one with pools it is the pattern averaged over all switches of its windows.
    """
    blank = torch.zeros_like(image).expand(len(channels_K), *image.shape)
    target = Target(channels_K, layer, torch.tensor(place).expand(len(channels_K), 2))
    return maps(model, blank, target, "deconvnet", switches=False)
