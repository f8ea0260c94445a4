"""An image that a person hands over, as a file, from Pillow or as an array, to the pixels of a square."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.data import photograph
from pipeline.errors import UserError


def bytes_of(image: object, side: int) -> Tensor:
    """(3, side, side) unsigned bytes of a file, a PIL image or an array; UserError, naming it, where it is none."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise UserError(
                f"an image must be (H, W, 3) or (H, W) unsigned bytes (uint8), not {image.dtype} {image.shape}"
            )
    elif not isinstance(image, str | Path) and not hasattr(image, "save"):
        raise UserError(f"an image is a file, a PIL image or an array, not a {type(image).__name__}")
    try:
        square = photograph.square(Path(image) if isinstance(image, str | Path) else _encoded(image), side)
    except Exception as error:  # damaged files raise what their formats' readers happen to raise
        name = f"an array {image.shape}" if isinstance(image, np.ndarray) else image
        raise UserError(f"{name} cannot be read as an image: {error}") from error
    return torch.from_numpy(square.copy()).permute(2, 0, 1)


def _encoded(image: Any) -> io.BytesIO:
    """A PIL image or an array as a file; colors that PNG does not hold (CMYK, YCbCr, HSV, LAB) become RGB."""
    from PIL import Image

    made, out = Image.fromarray(image) if isinstance(image, np.ndarray) else image, io.BytesIO()
    (made.convert("RGB") if made.mode in ("CMYK", "YCbCr", "HSV", "LAB") else made).save(out, "PNG")
    out.seek(0)
    return out
