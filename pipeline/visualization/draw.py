"""A run's pictures, one sheet after the other. Nothing is kept here."""

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.numerics.saliency.attribution import Target, patterns
from pipeline.numerics.saliency.crops import crop, output_name
from pipeline.paper.receptive_fields import receptive_field
from pipeline.visualization import sheet_activations, sheet_patches
from pipeline.visualization.catalogue import Picture
from pipeline.visualization.explained_model import ExplainedModel
from pipeline.visualization.png import of_images, of_maps, wrapped
from pipeline.visualization.sheet import RenderedSheet, images_of, on_sheet

PATTERN_COLUMNS = (8, 16)  # for up to 32 channels, and more
MAP_COLUMNS = 10


def render_picture(subject: ExplainedModel, pictures: Sequence[Picture]) -> Iterator[RenderedSheet]:
    """Every picture, those of a kind together: one forward pass serves all methods."""
    for kind in dict.fromkeys(picture.kind for picture in pictures):
        yield from _KINDS[kind](subject, [picture for picture in pictures if picture.kind == kind])


def _patterns(subject: ExplainedModel, pictures: Sequence[Picture]) -> Iterator[RenderedSheet]:
    """Figure 2: what each channel of the first layers stands for, without an image."""
    image = subject.seen([0])[0]
    for picture in pictures:
        shown = receptive_field(subject.network, picture.layer)
        box, count = shown.box(shown.middle), shown.step.channels
        channels = torch.arange(count, device=subject.device)
        found = patterns(subject.model, output_name(shown), channels, shown.middle, image).cpu()
        what = "filters" if picture.layer == "conv1" else "patterns, deconvolved without an image,"
        note = {
            "title": f"The {what} of {picture.layer}'s {count} channels",
            "receptive": shown.step.receptive,
            "cells": [{"channel": channel} for channel in range(count)],
        }
        yield on_sheet(subject, picture, wrapped(of_maps(crop(found, box)), PATTERN_COLUMNS[count > 32]), count, note)


def _maps(subject: ExplainedModel, pictures: Sequence[Picture]) -> Iterator[RenderedSheet]:
    """Maps of the predicted class's score, as pictures and as arrays."""
    for images in dict.fromkeys(picture.images for picture in pictures):
        wanted = [picture for picture in pictures if picture.images == images]
        index = images_of(subject, wanted[0])
        rules = [picture.method for picture in wanted if picture.method != "image"]
        found, target = subject.maps(index, Target(), rules)
        predicted = [] if target.channels_N is None else target.channels_N.tolist()
        cells = [
            {"image": i, "label": label, "predicted": p}
            for i, label, p in zip(index, subject.labels(index), predicted, strict=True)
        ]
        note = {"title": f"{len(index)} test images: what the score of the predicted class rests on", "cells": cells}
        for picture in wanted:
            if picture.method == "image":
                yield on_sheet(subject, picture, wrapped(of_images(subject.pixels(index)), MAP_COLUMNS), 0, note)
                continue
            tiles = of_maps(found[picture.method])
            arrays = _npy(found[picture.method])
            yield on_sheet(subject, picture, wrapped(tiles, MAP_COLUMNS), len(index), note, arrays)


def _sanity(subject: ExplainedModel, pictures: Sequence[Picture]) -> Iterator[RenderedSheet]:
    from pipeline.visualization import (
        sanity_checks,  # scipy: a second, and no other picture wants it
    )

    for picture in pictures:
        index = images_of(subject, picture)
        found = sanity_checks.paper_comparison(subject, index, picture.methods)
        note = {
            "title": "Trained, then made random from the scores down to the layer named",
            "rows": list(picture.methods),
            "columns": ["trained", *found.layers],
            "images": index,
            "compared": found.plain(),
        }
        yield on_sheet(subject, picture, [of_maps(found.shown[rule]) for rule in picture.methods], found.maps, note)


def _npy(maps_NCHW: Tensor) -> bytes:
    """float16; scaled as they are, for a gradient of a score fits its range."""
    out = io.BytesIO()
    np.save(out, maps_NCHW.to(torch.float16).contiguous().numpy(), allow_pickle=False)
    return out.getvalue()


_KINDS: dict[str, Callable[[ExplainedModel, Sequence[Picture]], Iterator[RenderedSheet]]] = {
    "patterns": _patterns,
    "strongest": sheet_patches.render_patches,
    "largest": sheet_activations.render_activations,
    "maps": _maps,
    "sanity": _sanity,
}
