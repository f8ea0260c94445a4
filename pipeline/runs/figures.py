"""Guided-backpropagation maps of a run as a PNG grid in the store."""

import io

import torch
from PIL import Image
from torch import Tensor

from pipeline.numerics.saliency import Target, maps
from pipeline.runs import datasets
from pipeline.runs.job import load_model
from pipeline.runs.store import RunFolder, Store

SCALE = 4  # every pixel of an image becomes this many in the picture


def render(store: Store, id: str, images: int) -> str:
    """The first test images of distinct classes above the maps of their predicted class; returns the picture's path.

    Maps are scaled alike around grey: 0 is grey, the 99.5th percentile of |map| of each image is full colour.
    """
    torch.set_num_threads(1)
    folder = RunFolder(id)
    this, model, result = load_model(store, id)
    data = datasets.load(store, this.dataset, this.recipe.preprocess)
    index = _one_of_each(data.test.labels, images)
    x_NCHW, _ = data.test.take(index)
    with torch.no_grad():
        predicted = model(x_NCHW).argmax(1)
    maps_NCHW = maps(model, x_NCHW, Target(predicted))
    rows = torch.stack([data.test_pixels.take(index)[0].float() / 255, _around_grey(maps_NCHW)])
    store.write(folder.figure, _png(rows))
    note = {
        "method": "guided backpropagation of the predicted class's score",
        "model": result["digests"]["model"],
        "images": images,
        "test_images": index.tolist(),
        "labels": data.test.labels[index].tolist(),
        "predicted": predicted.tolist(),
        "scaling": "symmetric around 0, clipped at the 99.5th percentile of each map's absolute values",
    }
    store.write_json(folder.figure_note, note)
    return folder.figure


def _one_of_each(labels: Tensor, images: int) -> Tensor:
    """The first image of every class, then the second of every class, and so on, up to `images`."""
    ranked = sorted(
        (int((labels[:position] == label).sum()), int(label), position) for position, label in enumerate(labels)
    )
    return torch.tensor([position for _, _, position in ranked[:images]])


def _png(images_RNCHW: Tensor) -> bytes:
    """R rows of N images each, enlarged, with a white line around each, as PNG."""
    large = images_RNCHW.repeat_interleave(SCALE, 3).repeat_interleave(SCALE, 4)
    framed = torch.nn.functional.pad(large, (SCALE, 0, SCALE, 0), value=1.0)
    r, n, c, h, w = framed.shape
    grid_HWC = framed.permute(0, 3, 1, 4, 2).reshape(r * h, n * w, c)
    grid_HWC = torch.nn.functional.pad(grid_HWC, (0, 0, 0, SCALE, 0, SCALE), value=1.0)
    out = io.BytesIO()
    Image.fromarray((grid_HWC * 255).round().to(torch.uint8).numpy()).save(out, "PNG")
    return out.getvalue()


def _around_grey(maps_NCHW: Tensor) -> Tensor:
    top_N = maps_NCHW.abs().flatten(1).quantile(0.995, dim=1).clamp(min=1e-12)
    return (0.5 + 0.5 * maps_NCHW / top_N[:, None, None, None]).clamp(0, 1)
