"""Images of your own, looked at by a finished run, or by one of the paper's networks with your weights.

Photographs are seen as a data set's: the short side resized, the middle cut out, then the run's own preprocessing.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data import prepare
from pipeline.errors import UserError
from pipeline.evaluation.verify import load_model
from pipeline.numerics.augmentation import eval_transform
from pipeline.numerics.preprocessing import Whitening, augments_pixels, last_step, scaled, whiten
from pipeline.numerics.saliency.attribution import Target, explained
from pipeline.numerics.saliency.coverage_check import check
from pipeline.paper.recipes import Recipe, Scale, Whiten
from pipeline.paper.relu_rules import RULES
from pipeline.plan.datasets import class_names
from pipeline.store.objects import Store, sha256
from pipeline.visualization.given_image import bytes_of
from pipeline.visualization.png import SCALING, encoded, of_images, of_maps, sheet
from pipeline.visualization.weights import load_weights
from pipeline.whole_path import insist_on_file_or_folder

ENDINGS = (".jpeg", ".jpg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")
BATCH = 16  # images
SCALES = {  # for weights that come without a recipe: how their images were scaled
    "scale": Scale(),  # -1 to 1
    "unit": Scale((0.0, 0.0, 0.0), 255.0),  # 0 to 1
    "imagenet": Scale((123.0, 117.0, 104.0)),  # as the paper's network for ImageNet sees them here
}


@dataclass(frozen=True)
class Looked:
    """What one image's predicted class rests on."""

    pixels: Tensor  # (3, H, W), 0 to 1, as the network sees them
    maps: dict[str, np.ndarray]  # by method, (3, H, W) float32: the signal at every pixel and color
    predicted: int
    name: str  # of that class; its number where it has none
    share: float  # of that class, by softmax, 0 to 1
    blank: bool = False  # all class scores are equal: no pixel is of importance, and the maps show nothing

    def strip(self) -> bytes:
        """The image and its maps beside each other, as PNG."""
        return encoded(sheet([[*of_images(self.pixels[None]), *(self._tile(method)[0] for method in self.maps)]])[0])

    def png(self, method: str) -> bytes:
        """One map as PNG."""
        return encoded(sheet([self._tile(method)])[0])

    def _repr_png_(self) -> bytes:
        """A notebook shows the strip."""
        return self.strip()

    def _tile(self, method: str) -> list[np.ndarray]:
        return of_maps(torch.from_numpy(self.maps[method])[None])


@dataclass(frozen=True)
class Looker:
    """A model that looks at images of your own."""

    model: nn.Module
    side: int  # pixels that images are resized to
    prepared: Callable[[Tensor], Tensor]  # unsigned bytes (N, 3, side, side) -> what the model sees
    shown: Callable[[Tensor], Tensor]  # the same bytes -> what of them it sees, 0 to 1
    names: tuple[str, ...] | None
    about: dict[str, Any]  # whose model this is, for notes

    def look(self, image: object, methods: Sequence[str] = tuple(RULES)) -> Looked:
        """The maps of one image: a file, a PIL image, or an array (H, W, 3) of unsigned bytes."""
        return self.look_at([image], methods)[0]

    def look_at(self, images: Iterable[object], methods: Sequence[str] = tuple(RULES)) -> list[Looked]:
        """The maps of several."""
        if not (each := [bytes_of(image, self.side) for image in images]):
            return []
        bytes_NCHW = torch.stack(each)
        check(self.model, self.prepared(bytes_NCHW[:1]))
        return [looked for some in bytes_NCHW.split(BATCH) for looked in self._look(some, methods)]

    def _look(self, bytes_NCHW: Tensor, methods: Sequence[str]) -> list[Looked]:
        seen = self.prepared(bytes_NCHW)
        with torch.no_grad():
            scores = self.model(seen).flatten(1)
        shares, blank = scores.softmax(1).amax(1).tolist(), (scores.amax(1) == scores.amin(1)).tolist()
        found, target = explained(self.model, seen, Target(), methods, (True,), checked=True)
        assert target.channels_N is not None
        pixels = self.shown(bytes_NCHW)
        return [
            Looked(
                pixels[at],
                {method: found[method, True][at].float().contiguous().numpy() for method in methods},
                predicted,
                self.names[predicted] if self.names else str(predicted),
                shares[at],
                blank[at],
            )
            for at, predicted in enumerate(target.channels_N.tolist())
        ]


def of_run(store: Store, id: str) -> Looker:
    """A finished run; UserError where the store does not hold the data set as it saw it."""
    trained = load_model(store, id)
    this = trained.experiment
    recipe, dataset = this.recipe, this.dataset
    whitening = None
    if isinstance(recipe.preprocess, Whiten):
        whitening = prepare.load(store, dataset, recipe.preprocess).whitening
    about = {"run": id, "network": this.network.name, "weights": trained.result.digests.model}
    return Looker(
        trained.model,
        dataset.side,
        lambda pixels: _as_evaluated(pixels, recipe, whitening),
        lambda pixels: eval_transform(pixels, recipe.augment) / 255,
        class_names(dataset),
        about,
    )


def of_weights(network: str, file: Path, how: str = "scale", side: int | None = None) -> Looker:
    """One of the paper's networks with weights from a .safetensors or .pth file.

    `how` says how their images were scaled, one of SCALES.

    Width and classes are those of the weights. UserError, naming the layer, where these are of another network.
    """
    if how not in SCALES:
        raise UserError(f"how images were scaled for these weights: {', '.join(SCALES)}, not {how!r}")
    made, model = load_weights(network, file, side)
    scale = SCALES[how]
    about = {"network": made.name, "weights": sha256(file.read_bytes()), "file": str(file), "preprocess": how}
    return Looker(model, made.side, lambda pixels: scaled(pixels, scale), lambda pixels: pixels / 255, None, about)


def _as_evaluated(pixels: Tensor, recipe: Recipe, whitening: Whitening | None) -> Tensor:
    """Unsigned bytes as the run saw test images: whitened and framed, or framed and then whitened or scaled."""
    if isinstance(recipe.preprocess, Whiten) and not augments_pixels(recipe):
        assert whitening is not None
        return eval_transform(whiten(pixels, whitening, recipe.preprocess), recipe.augment)
    return last_step(recipe, whitening)(eval_transform(pixels, recipe.augment))


def files_of(paths: Iterable[str]) -> list[Path]:
    """The images that these paths name, those of folders included, each once; UserError where one names none."""
    out: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(filter(_is_image, path.iterdir())) if path.is_dir() else [path]
        if not path.exists():
            raise UserError(f"there is no image {path}")
        insist_on_file_or_folder(path)
        if not inside:
            raise UserError(f"the folder {path} holds no images ({', '.join(ENDINGS[:3])} and others)")
        out += inside
    return list(dict.fromkeys(out))


def _is_image(file: Path) -> bool:
    """Whether it is one by its name; hidden ones are none: macOS puts ._photo.jpg beside photo.jpg."""
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()


def write(looker: Looker, files: Sequence[Path], methods: Sequence[str], to: Path) -> list[dict[str, Any]]:
    """Of every image its maps as PNG and .npy, all beside each other as one PNG, and a note; the notes, in order."""
    if to.parts[:1] == ("s3:",) or (to.exists() and not to.is_dir()):
        raise UserError(f"{to} is no folder on this machine: name one with --to")
    bases = [to / _unique(file, files) for file in files]
    _insist_on_originals(files, [Path(path) for base in bases for path in _pictures(base, methods).values()])
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {to}: {error.strerror}. Name another with --to.") from error
    notes = []
    for at in range(0, len(files), BATCH):
        some = slice(at, at + BATCH)
        for file, base, looked in zip(files[some], bases[some], looker.look_at(files[some], methods), strict=True):
            notes.append(_written(looker, file, looked, base))
    return notes


def _insist_on_originals(files: Sequence[Path], pictures: Sequence[Path]) -> None:
    """UserError where a picture would be written over an image that is looked at."""
    originals = {file.resolve() for file in files}
    if over := [path for path in pictures if path.resolve() in originals]:
        raise UserError(f"the maps would be written over {over[0]}: name a folder without these images with --to")


def _pictures(base: Path, methods: Iterable[str]) -> dict[str, str]:
    """The paths of an image's pictures: of all maps beside it, and of the map by each method."""
    return {"strip": f"{base}.png"} | {method: f"{base}.{method}.png" for method in methods}


def _unique(file: Path, files: Sequence[Path]) -> str:
    """The file's name without its ending, and a number where others have the same; no other file's name is equal."""
    alike = [other for other in files if other.stem == file.stem]
    if len(alike) == 1:
        return file.stem
    number = alike.index(file) + 1
    while any(other.stem == f"{file.stem}-{number}" for other in files):
        number += len(alike)
    return f"{file.stem}-{number}"


def _written(looker: Looker, file: Path, looked: Looked, base: Path) -> dict[str, Any]:
    paths = _pictures(base, looked.maps)
    for method, values in looked.maps.items():
        Path(paths[method]).write_bytes(looked.png(method))
        np.save(f"{base}.{method}.npy", values, allow_pickle=False)
    Path(paths["strip"]).write_bytes(looked.strip())
    note = looker.about | {
        "image": str(file),
        "image_sha256": sha256(file.read_bytes()),
        "seen_as": f"the short side resized to {looker.side} px, the middle cut out",
        "predicted": looked.predicted,
        "name": looked.name,
        "share": round(looked.share, 4),
        "blank": looked.blank,
        "pictures": paths,
        "arrays": {method: f"{base}.{method}.npy" for method in looked.maps},
        "array": "float32 (3, H, W): the signal at each pixel and color, for the score of the predicted class",
        "scaling": SCALING,
    }
    Path(f"{base}.json").write_text(json.dumps(note, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return note
