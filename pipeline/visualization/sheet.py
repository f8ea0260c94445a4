"""One sheet as it is drawn: the picture and the note that says what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.visualization.catalogue import Picture
from pipeline.visualization.explained_model import ExplainedModel
from pipeline.visualization.png import SCALING, Rgba, encoded, sheet

Row = Sequence[Rgba]


@dataclass(frozen=True)
class RenderedSheet:
    """One sheet."""

    picture: Picture
    canvas: Rgba
    note: dict
    maps: int  # that were computed for it
    arrays: bytes | None = None  # the maps as .npy, float16

    @property
    def png(self) -> bytes:
        """Encoded at every call, for which threads that write sheets need not hold up the one that draws."""
        return encoded(self.canvas)


def on_sheet(
    subject: ExplainedModel, picture: Picture, rows: Sequence[Row], maps: int, note: dict, arrays=None
) -> RenderedSheet:
    """Rows of tiles as one sheet, `note` being what sets it apart from the others."""
    canvas, grid = sheet(rows)
    about = {
        "kind": picture.kind,
        "layer": picture.layer,
        "method": picture.method,
        "switches": picture.switches,
        "precision": picture.precision,
        "run": subject.experiment.id,
        "network": subject.network.name,
        "weights": subject.result.digests.model,
        "rounded": subject.rounded,  # whether these weights were halved before
        "data": subject.result.digests.dataset,
        "scaling": None if picture.method == "image" else SCALING,
        "grid": grid.plain(),
    }
    return RenderedSheet(picture, canvas, about | note, maps, arrays)


def images_of(subject: ExplainedModel, picture: Picture) -> list[int]:
    """The test images that the picture is of."""
    if isinstance(picture.images, int):
        return subject.of_every_class(picture.images)
    return list(picture.images)
