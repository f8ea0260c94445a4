"""`strive figures` for images of your own."""

from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.store.objects import Store
from pipeline.visualization import own_images


def look(
    store: Store,
    run: Experiment | None,
    weights: tuple[str | None, Path | None, str],
    paths: list[str],
    methods: tuple[str, ...],
    to: Path,
) -> list[dict[str, Any]]:
    """Draw the maps of these images by a run, or by a network with weights from a file; the notes of the maps."""
    files = own_images.files_of(paths)
    if not files:
        raise UserError("name the images: --images photo.png, or a folder of them")
    network, file, how = weights
    if run is not None:
        looker = own_images.of_run(store, run.id)
    else:
        assert network is not None
        assert file is not None
        looker = own_images.of_weights(network, file, how)
    return own_images.write(looker, files, methods, to)
