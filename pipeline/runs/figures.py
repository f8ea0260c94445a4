"""A run's pictures, one sheet after the other, each with a note that says what it shows. Nothing is kept here."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.numerics.saliency import Target, patterns, strongest_places
from pipeline.numerics.saliency_patches import Strongest, strongest
from pipeline.numerics.saliency_rules import output_of
from pipeline.numerics.units import crop, output_name
from pipeline.paper.layers import Pool
from pipeline.paper.networks import Network, with_pools
from pipeline.paper.units import Layer, layer
from pipeline.runs.pictures import Picture
from pipeline.runs.sheet import SCALING, Rgba, of_images, of_maps, sheet, wrapped
from pipeline.runs.subject import Subject

PATTERN_COLUMNS = (8, 16)  # for up to 32 channels, and more
MAP_COLUMNS = 10
Row = Sequence[Rgba]


@dataclass(frozen=True)
class Drawn:
    """One sheet."""

    picture: Picture
    png: bytes
    note: dict
    maps: int  # that were computed for it
    arrays: bytes | None = None  # the maps as .npy, float16


def drawn(subject: Subject, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    """Every picture, those of a kind together: one forward pass serves all methods."""
    for kind in dict.fromkeys(picture.kind for picture in pictures):
        yield from _KINDS[kind](subject, [picture for picture in pictures if picture.kind == kind])


def _drawn(subject: Subject, picture: Picture, rows: Sequence[Row], maps: int, note: dict, arrays=None) -> Drawn:
    png, grid = sheet(rows)
    about = {
        "kind": picture.kind,
        "layer": picture.layer,
        "method": picture.method,
        "switches": picture.switches,
        "precision": picture.precision,
        "run": subject.experiment.id,
        "network": subject.network.name,
        "weights": subject.result["digests"]["model"],
        "data": subject.result["digests"]["dataset"],
        "scaling": None if picture.method == "image" else SCALING,
        "grid": grid.plain(),
    }
    return Drawn(picture, png, about | note, maps, arrays)


def _patterns(subject: Subject, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    """Figure 2: what each channel of the first layers stands for, without an image."""
    image = subject.seen([0])[0]
    for picture in pictures:
        shown = layer(subject.network, picture.layer)
        box, count = shown.box(shown.middle), shown.step.channels
        channels = torch.arange(count, device=subject.device)
        found = patterns(subject.model, output_name(shown), channels, shown.middle, image).cpu()
        what = "filters" if picture.layer == "conv1" else "patterns, deconvolved without an image,"
        note = {
            "title": f"The {what} of {picture.layer}'s {count} channels",
            "receptive": shown.step.receptive,
            "cells": [{"channel": channel} for channel in range(count)],
        }
        yield _drawn(subject, picture, wrapped(of_maps(crop(found, box)), PATTERN_COLUMNS[count > 32]), count, note)


def _strongest(subject: Subject, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    """Figure 3: the patches that excite the most active channels most, and what in them does."""
    by_layer: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_layer.setdefault(picture.layer, []).append(picture)
    shown = {name: layer(subject.network, name) for name in by_layer}
    outputs = {name: output_name(of) for name, of in shown.items()}
    top = max(picture.top for picture in pictures)
    best = strongest(subject.model, subject.all(), list(outputs.values()), top)
    for name, wanted in by_layer.items():
        yield from _patches(subject, shown[name], best[outputs[name]], wanted)


def _patches(subject: Subject, shown: Layer, best: Strongest, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    channels = best.most_active(pictures[0].channels)
    images = best.images_CK[channels].flatten().tolist()
    each = channels.repeat_interleave(best.images_CK.shape[1])
    places = best.places_CK2[channels].flatten(0, 1)
    boxes = [shown.box((row, column)) for row, column in places.tolist()]
    rules = [picture.method for picture in pictures if picture.method != "image"]
    maps = subject.maps(images, Target(each, output_name(shown), places), rules) if rules else {}
    columns = best.images_CK.shape[1]
    note = {
        "title": f"{shown.name}'s most active channels, a row each, and the patches that excite them most",
        "receptive": shown.step.receptive,
        "rows": [{"channel": int(c), "mean": round(float(best.mean_C[c]), 4)} for c in channels],
        "cells": [
            {"image": image, "label": label, "value": round(float(value), 4), "place": place, "box": list(box)}
            for image, label, value, place, box in zip(
                images,
                subject.labels(images),
                best.values_CK[channels].flatten(),
                places.tolist(),
                boxes,
                strict=True,
            )
        ],
    }
    for picture in pictures:
        if picture.method == "image":
            tiles = _cropped(subject.pixels(images), boxes, of_images)
        else:
            tiles = _cropped(maps[picture.method], boxes, of_maps)
        count = 0 if picture.method == "image" else len(images)
        yield _drawn(subject, picture, wrapped(tiles, columns), count, note)


def _cropped(values_NCHW: Tensor, boxes: Sequence[tuple[int, int, int]], colour: Callable) -> list[Rgba]:
    """Each image's box, transparent where it reaches beyond the image."""
    inside = torch.ones_like(values_NCHW[:1, :1])
    crops = torch.stack([crop(value, box) for value, box in zip(values_NCHW, boxes, strict=True)])
    return colour(crops, torch.cat([crop(inside, box) for box in boxes]))


def _largest(subject: Subject, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    """Figures 4 to 6: the single largest activation of the last layer, or the class score, by every method."""
    for picture in pictures:
        index = _indices(subject, picture)
        network, model, words = _pooling(subject, picture.switches)
        target, rows = _target(subject, picture.layer, network, model, index)
        maps = subject.maps(index, target, picture.methods, picture.switches, model)
        columns = [of_images(subject.pixels(index)), *(of_maps(maps[rule]) for rule in picture.methods)]
        scores = picture.layer == "scores"
        what = "the score of the predicted class" if scores else f"{picture.layer}'s largest activation"
        note = {"title": f"What {what} rests on, {words}", "columns": ["image", *picture.methods], "rows": rows}
        count = len(index) * len(picture.methods)
        yield _drawn(subject, picture, list(zip(*columns, strict=True)), count, note)


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


def _maps(subject: Subject, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    """Maps of the predicted class's score, as pictures and as arrays."""
    for images in dict.fromkeys(picture.images for picture in pictures):
        wanted = [picture for picture in pictures if picture.images == images]
        index = _indices(subject, wanted[0])
        predicted = subject.predicted(index)
        rules = [picture.method for picture in wanted if picture.method != "image"]
        found = subject.maps(index, Target(torch.tensor(predicted)), rules) if rules else {}
        cells = [
            {"image": i, "label": label, "predicted": p}
            for i, label, p in zip(index, subject.labels(index), predicted, strict=True)
        ]
        note = {"title": f"{len(index)} test images: what the score of the predicted class rests on", "cells": cells}
        for picture in wanted:
            if picture.method == "image":
                yield _drawn(subject, picture, wrapped(of_images(subject.pixels(index)), MAP_COLUMNS), 0, note)
                continue
            tiles = of_maps(found[picture.method])
            arrays = _npy(found[picture.method])
            yield _drawn(subject, picture, wrapped(tiles, MAP_COLUMNS), len(index), note, arrays)


def _sanity(subject: Subject, pictures: Sequence[Picture]) -> Iterator[Drawn]:
    from pipeline.runs import sanity  # scipy and scikit-image: a second, and no other picture wants them

    for picture in pictures:
        index = _indices(subject, picture)
        found = sanity.compared(subject, index, picture.methods)
        note = {
            "title": "Trained, then made random layer by layer from the scores down to the pixels",
            "rows": list(picture.methods),
            "columns": ["trained", *found.layers],
            "images": index,
            "compared": found.plain(),
        }
        yield _drawn(subject, picture, [of_maps(found.shown[rule]) for rule in picture.methods], found.maps, note)


_KINDS: dict[str, Callable[[Subject, Sequence[Picture]], Iterator[Drawn]]] = {
    "patterns": _patterns,
    "strongest": _strongest,
    "largest": _largest,
    "maps": _maps,
    "sanity": _sanity,
}


def _indices(subject: Subject, picture: Picture) -> list[int]:
    if isinstance(picture.images, int):
        return subject.of_every_class(picture.images)
    return list(picture.images)


def _npy(maps_NCHW: Tensor) -> bytes:
    """float16; scaled as they are, for a gradient of a score fits its range."""
    out = io.BytesIO()
    np.save(out, maps_NCHW.to(torch.float16).contiguous().numpy(), allow_pickle=False)
    return out.getvalue()
