"""The modules and the image regions that belong to a network's units."""

import torch.nn.functional as F
from torch import Tensor

from pipeline.paper.receptive_fields import ReceptiveField


def output_name(layer: ReceptiveField) -> str:
    """The module of `model.build`'s model that computes the layer's units: its ReLU, or its convolution without one."""
    return f"{'relu' if layer.conv.relu else 'conv'}{layer.number}"


def crop(image: Tensor, box: tuple[int, int, int], outside: float = 0.0) -> Tensor:
    """The box (top, left, side), in pixels, of an image (..., H, W): (..., side, side), padded with `outside`."""
    top, left, side = box
    height, width = image.shape[-2:]
    rows, columns = slice(max(top, 0), max(top + side, 0)), slice(max(left, 0), max(left + side, 0))
    inside = image[..., rows, columns]
    above, before = min(max(-top, 0), side), min(max(-left, 0), side)
    below, behind = min(max(top + side - height, 0), side), min(max(left + side - width, 0), side)
    return F.pad(inside, (before, behind, above, below), value=outside)
