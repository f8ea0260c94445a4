"""Figure 3: the patches that excite the most active channels most, and what in them does."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pipeline.numerics.saliency.attribution import Target
from pipeline.numerics.saliency.crops import crop, output_name
from pipeline.numerics.saliency.top_patches import TopPatches, top_patches
from pipeline.paper.receptive_fields import ReceptiveField, receptive_field
from pipeline.visualization.catalogue import Picture
from pipeline.visualization.explained_model import ExplainedModel
from pipeline.visualization.png import Rgba, of_images, of_maps, wrapped
from pipeline.visualization.sheet import RenderedSheet, on_sheet


def render_patches(subject: ExplainedModel, pictures: Sequence[Picture]) -> Iterator[RenderedSheet]:
    """Every layer's sheets, after one pass over the images for all of them."""
    for part in dict.fromkeys(picture.part for picture in pictures):
        wanted = [picture for picture in pictures if picture.part == part]
        shown = {
            name: receptive_field(subject.network, name) for name in dict.fromkeys(picture.layer for picture in wanted)
        }
        outputs = {name: output_name(of) for name, of in shown.items()}
        top = max(picture.top for picture in wanted)
        best = top_patches(subject.model, subject.all(part), list(outputs.values()), top)
        for name, of in shown.items():
            yield from _patches(subject, of, best[outputs[name]], [p for p in wanted if p.layer == name])


def _patches(
    subject: ExplainedModel, shown: ReceptiveField, best: TopPatches, pictures: Sequence[Picture]
) -> Iterator[RenderedSheet]:
    channels, part = best.most_active(pictures[0].channels), pictures[0].part
    images = best.images_CK[channels].flatten().tolist()
    each = channels.repeat_interleave(best.images_CK.shape[1])
    places = best.places_CK2[channels].flatten(0, 1)
    boxes = [shown.box((row, column)) for row, column in places.tolist()]
    rules = [picture.method for picture in pictures if picture.method != "image"]
    maps, _ = subject.maps(images, Target(each, output_name(shown), places), rules, part=part) if rules else ({}, None)
    columns = best.images_CK.shape[1]
    note = {
        "title": f"{shown.name}'s most active channels, a row each, and the patches that excite them most",
        "receptive": shown.step.receptive,
        "part": part,
        "rows": [{"channel": int(c), "mean": round(float(best.mean_C[c]), 4)} for c in channels],
        "cells": [
            {"image": image, "label": label, "value": round(float(value), 4), "place": place, "box": list(box)}
            for image, label, value, place, box in zip(
                images,
                subject.labels(images, part),
                best.values_CK[channels].flatten(),
                places.tolist(),
                boxes,
                strict=True,
            )
        ],
    }
    for picture in pictures:
        if picture.method == "image":
            tiles = _cropped(subject.pixels(images, part), boxes, of_images)
        else:
            tiles = _cropped(maps[picture.method], boxes, of_maps)
        count = 0 if picture.method == "image" else len(images)
        yield on_sheet(subject, picture, wrapped(tiles, columns), count, note)


def _cropped(values_NCHW: Tensor, boxes: Sequence[tuple[int, int, int]], color: Callable) -> list[Rgba]:
    """Each image's box, transparent where it reaches beyond the image."""
    inside = torch.ones_like(values_NCHW[:1, :1])
    crops = torch.stack([crop(value, box) for value, box in zip(values_NCHW, boxes, strict=True)])
    return color(crops, torch.cat([crop(inside, box) for box in boxes]))
