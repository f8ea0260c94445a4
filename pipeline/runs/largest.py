"""Figures 4 to 6: the single largest activation of the last layer, or the class score, by every method."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from pipeline.numerics.inside import output_of
from pipeline.numerics.saliency import Target, strongest_places
from pipeline.numerics.units import output_name
from pipeline.paper.layers import Pool
from pipeline.paper.networks import Network, with_pools
from pipeline.paper.units import layer
from pipeline.runs.drawn import Drawn, images_of, on_sheet
from pipeline.runs.pictures import Picture
from pipeline.runs.sheet import of_images, of_maps
from pipeline.runs.subject import Subject


def drawn(subject: Subject, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    """A row for every image: its pixels, then its maps."""
    for picture in pictures:
        index = images_of(subject, picture)
        network, model, words = _pooling(subject, picture.switches)
        target, rows = _target(subject, picture.layer, network, model, index)
        maps = subject.maps(index, target, picture.methods, picture.switches, model)
        columns = [of_images(subject.pixels(index)), *(of_maps(maps[rule]) for rule in picture.methods)]
        scores = picture.layer == "scores"
        what = "the score of the predicted class" if scores else f"{picture.layer}'s largest activation"
        note = {"title": f"What {what} rests on, {words}", "columns": ["image", *picture.methods], "rows": rows}
        count = len(index) * len(picture.methods)
        yield on_sheet(subject, picture, list(zip(*columns, strict=True)), count, note)


def _pooling(subject: Subject, switches: bool) -> tuple[Network, nn.Module, str]:
    """The network to go back through with or without switches, its model, and how to say what was done."""
    if any(isinstance(row, Pool) for row in subject.network.layers):
        words = "by the pools' switches" if switches else "pools sending back evenly, without switches"
        return subject.network, subject.model, words
    if switches and subject.pooled is not None:
        words = "strides replaced by 2x2 max-pooling after training, by its switches"
        return with_pools(subject.network), subject.pooled, words
    return subject.network, subject.model, "without pooling, as it was trained"


@torch.no_grad()
def _target(
    subject: Subject, name: str, network: Network, model: nn.Module, index: list[int]
) -> tuple[Target, list[dict]]:
    """Each image's largest value of the layer, or its highest class score; and what these are."""
    about = [{"image": i, "label": label} for i, label in zip(index, subject.labels(index), strict=True)]
    if name == "scores":
        predicted = model(subject.seen(index)).argmax(1).cpu()
        return Target(predicted), [a | {"predicted": int(p)} for a, p in zip(about, predicted, strict=True)]
    module = output_name(layer(network, name))
    found = output_of(model, subject.seen(index), module).cpu()
    channels = found.flatten(2).amax(2).argmax(1)
    places = strongest_places(found[torch.arange(len(index)), channels])
    rows = [a | {"channel": int(c), "place": p} for a, c, p in zip(about, channels, places.tolist(), strict=True)]
    return Target(channels, module, places), rows
