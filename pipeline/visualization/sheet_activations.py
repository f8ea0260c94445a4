"""Figures 4 to 6: the single largest activation of the last layer, or the class score, by every method."""

from collections.abc import Iterator, Sequence

from torch import nn

from pipeline.numerics.saliency.attribution import Target
from pipeline.numerics.saliency.crops import output_name
from pipeline.paper.layers import Pool
from pipeline.paper.networks import Network, with_pools
from pipeline.paper.receptive_fields import receptive_field
from pipeline.visualization.catalogue import Picture
from pipeline.visualization.explained_model import ExplainedModel
from pipeline.visualization.png import of_images, of_maps
from pipeline.visualization.sheet import RenderedSheet, images_of, on_sheet


def render_activations(subject: ExplainedModel, pictures: Sequence[Picture]) -> Iterator[RenderedSheet]:
    """A row for every image: its pixels, then its maps."""
    for picture in pictures:
        index = images_of(subject, picture)
        network, model, words = _pooling(subject, picture.switches)
        name = None if picture.layer == "scores" else output_name(receptive_field(network, picture.layer))
        maps, target = subject.maps(index, Target(layer=name), picture.methods, picture.switches, model)
        columns = [of_images(subject.pixels(index)), *(of_maps(maps[rule]) for rule in picture.methods)]
        scores = picture.layer == "scores"
        what = "the score of the predicted class" if scores else f"{picture.layer}'s largest activation"
        rows = _rows(subject, index, target)
        note = {"title": f"What {what} rests on, {words}", "columns": ["image", *picture.methods], "rows": rows}
        count = len(index) * len(picture.methods)
        yield on_sheet(subject, picture, list(zip(*columns, strict=True)), count, note)


def _pooling(subject: ExplainedModel, switches: bool) -> tuple[Network, nn.Module, str]:
    """The network to go back through with or without switches, its model, and how to say what was done."""
    if any(isinstance(row, Pool) for row in subject.network.layers):
        words = "by the pools' switches" if switches else "pools sending back evenly, without switches"
        return subject.network, subject.model, words
    if switches and subject.pooled is not None:
        words = "strides replaced by 2x2 max-pooling after training, by its switches"
        return with_pools(subject.network), subject.pooled, words
    return subject.network, subject.model, "without pooling, as it was trained"


def _rows(subject: ExplainedModel, index: list[int], target: Target) -> list[dict]:
    """What each image's row explains."""
    rows = [{"image": i, "label": label} for i, label in zip(index, subject.labels(index), strict=True)]
    channels = [] if target.channels_N is None else target.channels_N.tolist()
    if target.places_N2 is None:
        return [row | {"predicted": channel} for row, channel in zip(rows, channels, strict=True)]
    places = target.places_N2.tolist()
    return [row | {"channel": c, "place": p} for row, c, p in zip(rows, channels, places, strict=True)]
