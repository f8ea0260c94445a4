"""The units of a network by the paper's names: which module they leave, and which pixels they see."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from pipeline.paper.layers import Conv
from pipeline.paper.networks import Network
from pipeline.paper.refused import unknown
from pipeline.paper.shapes import Step, steps


@dataclass(frozen=True)
class Layer:
    """A convolution as section 3.4 counts them, conv1 first; its units are what leaves its ReLU."""

    name: str
    module: str  # in numerics.network's model: the ReLU, or the convolution where there is none
    filters: str  # the convolution
    step: Step

    def box(self, place: tuple[int, int]) -> tuple[int, int, int]:
        """Top, left and side of the square of pixels that the unit at (row, column) sees; may reach into padding."""
        row, column = place
        return (
            self.step.begin + row * self.step.jump,
            self.step.begin + column * self.step.jump,
            self.step.receptive,
        )


def layers(network: Network) -> dict[str, Layer]:
    """Every convolution by its name, conv1 to the one whose maps are averaged to the class scores."""
    found = [(number, step) for number, step in enumerate(steps(network), 1) if isinstance(step.layer, Conv)]
    out = {}
    for count, (number, step) in enumerate(found, 1):
        module = "relu" if isinstance(step.layer, Conv) and step.layer.rectify else "conv"
        out[f"conv{count}"] = Layer(f"conv{count}", f"{module}{number}", f"conv{number}", step)
    return out


def layer(network: Network, name: str) -> Layer:
    """The layer of that name; refused with the nearest ones."""
    known = layers(network)
    if name not in known:
        raise unknown(f"layer of {network.name}", name, known)
    return known[name]


def middle(layer: Layer) -> tuple[int, int]:
    """The unit in the middle of a layer's map."""
    return layer.step.side // 2, layer.step.side // 2


def crop(image: Tensor, box: tuple[int, int, int], outside: float = 0.0) -> Tensor:
    """What lies in the box (top, left, side) of an image (..., H, W); `outside` where it reaches beyond."""
    top, left, side = box
    height, width = image.shape[-2:]
    rows, columns = slice(max(top, 0), max(top + side, 0)), slice(max(left, 0), max(left + side, 0))
    inside = image[..., rows, columns]
    above, before = min(max(-top, 0), side), min(max(-left, 0), side)
    below, behind = min(max(top + side - height, 0), side), min(max(left + side - width, 0), side)
    return F.pad(inside, (before, behind, above, below), value=outside)
