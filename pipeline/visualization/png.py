"""Arrays to one PNG: tiles of one size in rows and columns, maps colored the same way whatever the method."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SHARE = 0.995  # of a map's values that are shown without clipping
SCALING = (
    "symmetric around zero: gray is 0, and full color the 99.5th percentile of this map's absolute values, over all "
    "pixels and colors; the same for every method"
)
TILE = 96  # pixels that a tile is enlarged to, at the least
GAP = 2  # transparent pixels between tiles and around them

Rgba = np.ndarray  # (H, W, 4) unsigned bytes


@dataclass(frozen=True)
class Grid:
    """Where the tiles of a sheet are: tile (r, c) begins at gap + (tile + gap) * (c, r) pixels."""

    rows: int
    columns: int
    tile: int  # pixels of a tile's side
    gap: int

    def plain(self) -> dict:
        return asdict(self)


def of_maps(maps_NCHW: Tensor, inside_N1HW: Tensor | None = None) -> list[Rgba]:
    """Each map around gray by its own scale; transparent outside."""
    return of_images(around_gray(maps_NCHW), inside_N1HW)


def around_gray(maps_NCHW: Tensor) -> Tensor:
    """0 becomes 0.5, each map's scale 0 and 1."""
    maps_NCHW = maps_NCHW.float().cpu()
    flat = maps_NCHW.abs().flatten(1)
    top_N = flat.kthvalue(round(SHARE * (flat.shape[1] - 1)) + 1, dim=1).values
    top_N = torch.where(top_N > 0, top_N, flat.amax(1)).clamp(min=1e-30)  # a map of few pixels is all above it
    return (0.5 + 0.5 * maps_NCHW / top_N[:, None, None, None]).clamp(0, 1)


def of_images(values_NCHW: Tensor, inside_N1HW: Tensor | None = None) -> list[Rgba]:
    """Colors 0 to 1, or a gray value; transparent outside."""
    values = values_NCHW.cpu().expand(-1, 3, -1, -1)
    alpha = torch.ones_like(values[:, :1]) if inside_N1HW is None else inside_N1HW.to(values).cpu()
    rgba = (torch.cat([values, alpha], 1) * 255).round().to(torch.uint8)
    return list(rgba.permute(0, 2, 3, 1).numpy())


def sheet(rows: Sequence[Sequence[Rgba]]) -> tuple[Rgba, Grid]:
    """Rows of tiles as one picture; a short row stays transparent at its end."""
    side = rows[0][0].shape[0]
    times = max(1, -(-TILE // side))
    grid = Grid(len(rows), max(map(len, rows)), side * times, GAP)
    step = grid.tile + GAP
    canvas = np.zeros((grid.rows * step + GAP, grid.columns * step + GAP, 4), np.uint8)
    for r, row in enumerate(rows):
        for c, tile in enumerate(row):
            large = tile.repeat(times, 0).repeat(times, 1)
            canvas[GAP + r * step :, GAP + c * step :][: grid.tile, : grid.tile] = large
    return canvas, grid


def encoded(picture: Rgba) -> bytes:
    """The picture as PNG."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=3)
    return out.getvalue()


def wrapped(tiles: Sequence[Rgba], columns: int) -> list[Sequence[Rgba]]:
    """One tile after the other, so many in a row."""
    return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
