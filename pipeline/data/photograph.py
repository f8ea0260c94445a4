"""A photograph in a file to a square image of a wanted size.

Resized as Krizhevsky et al. (2012) say: the short side to the wanted one, then the middle of the long side; here by
Pillow's bilinear filter, which averages over all pixels that it shrinks.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.runtime.limits import cores

MOST_PIXELS = 80_000_000  # 240 MB as RGB; Pillow warns from 89 million on
LONGEST = 16  # times the short side: what lies beyond is cut off before resizing
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")  # by content, not by name; no others, which may run programs


def square(file: Path | BinaryIO, side: int) -> np.ndarray:
    """The photograph as (side, side, 3) unsigned bytes.

    ValueError where it has more than MOST_PIXELS, before it is decoded, or values whose white is not known; Pillow's
    own errors, of many classes, where it is damaged.
    """
    from PIL import Image  # training without preparing data needs no Pillow

    with Image.open(file, formats=FORMATS) as photograph:
        wide, high = photograph.size
        if wide * high > MOST_PIXELS:
            raise ValueError(f"{wide:,} x {high:,} pixels are more than {MOST_PIXELS:,}")
        rgb = _middle(_eight_bits(photograph)).convert("RGB")
    wide, high = rgb.size
    scale = side / min(wide, high)
    wide, high = max(side, round(wide * scale)), max(side, round(high * scale))
    left, top = (wide - side) // 2, (high - side) // 2
    small = rgb.resize((wide, high), Image.Resampling.BILINEAR)
    return np.asarray(small.crop((left, top, left + side, top + side)))


def _eight_bits(photograph):
    """The photograph with 8 bits a channel: gray of 16 bits is scaled, for `convert` would clip it at 255."""
    from PIL import Image

    if photograph.mode.startswith("I;16"):
        values = np.asarray(photograph).astype(np.uint32)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if photograph.mode in ("I", "F"):
        raise ValueError(f"its values have 32 bits (mode {photograph.mode}), and which of them is white is not known")
    return photograph


def _middle(photograph):
    """The photograph, or the middle of a strip: resized whole, one of 2 x 20,000 pixels would take gigabytes."""
    wide, high = photograph.size
    most = LONGEST * min(wide, high)
    left, top = max(0, wide - most) // 2, max(0, high - most) // 2
    return photograph.crop((left, top, wide - left, high - top)) if left or top else photograph


def decoded(files: Sequence[Path], side: int, threads: int | None = None) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Each file with its image, or with what is wrong with it, in a line; by as many threads as there are cores."""

    def attempt(file: Path) -> np.ndarray | str:
        try:
            return square(file, side)
        except Exception as error:  # damaged files raise what their formats' readers happen to raise
            return " ".join(f"{type(error).__name__}: {error}".split())

    with ThreadPoolExecutor(threads or cores()) as pool:
        yield from zip(files, pool.map(attempt, files), strict=True)
