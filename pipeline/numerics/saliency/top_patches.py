"""The strongest activations of each channel, found in one pass over a data set."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.numerics.saliency.backward_rules import BackwardRule, with_backward_rule


@dataclass(frozen=True)
class TopPatches:
    """For each of C channels the K images with its largest activations, largest first; all tensors on the CPU.

    Of each image only the unit with the largest activation counts.
    """

    values_CK: Tensor  # activations, float32
    images_CK: Tensor  # index of the image in the data set, int64
    places_CK2: Tensor  # row and column of the unit, int64
    mean_C: Tensor  # mean activation over all images and positions, float32

    def most_active(self, count: int) -> Tensor:
        """The `count` channels with the highest mean activation, highest first: (count,) int64."""
        return self.mean_C.sort(descending=True, stable=True).indices[:count]


def top_patches(model: nn.Module, batches: Iterable[Tensor], layers: Sequence[str], k: int) -> dict[str, TopPatches]:
    """The k strongest images of every channel of the modules `layers`, by the module's name.

    `batches` are images (B, C, H, W) in the order of the data set. In memory are the maps of one batch and k entries
    per channel. Among equal activations, those of earlier images and positions come first.
    """
    lists: dict[str, _List] = {}
    begin = 0
    with torch.no_grad(), with_backward_rule(model, BackwardRule()), _outputs(model, layers) as outputs:
        for images in batches:
            model(images)
            for name in layers:
                lists.setdefault(name, _List(k)).see(outputs[name], begin)
            begin += len(images)
    return {name: found.result() for name, found in lists.items()}


class _List:
    """The k strongest images so far of every channel of a layer."""

    def __init__(self, k: int):
        self.k, self.sum, self.seen = k, torch.zeros(()), 0
        self.best: tuple[Tensor, ...] | None = None

    def see(self, maps_BCHW: Tensor, begin: int) -> None:
        width = maps_BCHW.shape[3]
        values_BC, flat_BC = maps_BCHW.flatten(2).float().max(2)
        index_BC = torch.arange(begin, begin + len(maps_BCHW), device=flat_BC.device)[:, None].expand_as(flat_BC)
        new = (values_BC.T, index_BC.T, flat_BC.T // width, flat_BC.T % width)
        both = new if self.best is None else tuple(torch.cat(pair, 1) for pair in zip(self.best, new, strict=True))
        order = both[0].sort(dim=1, descending=True, stable=True).indices[:, : self.k]
        self.best = tuple(part.gather(1, order) for part in both)
        self.sum = self.sum.to(maps_BCHW.device) + maps_BCHW.double().sum((0, 2, 3))
        self.seen += len(maps_BCHW) * maps_BCHW[0, 0].numel()

    def result(self) -> TopPatches:
        assert self.best is not None
        values, images, rows, columns = (part.cpu() for part in self.best)
        return TopPatches(values, images, torch.stack([rows, columns], 2), (self.sum / self.seen).float().cpu())


@contextmanager
def _outputs(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Within the context, the outputs of these modules in the latest forward pass, by name."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str):
        return lambda _module, _given, out: outputs.__setitem__(name, out)

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
