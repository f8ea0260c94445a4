"""Sheets of tiles: their colors, and where each tile is."""

import io

import numpy as np
import torch
from PIL import Image

from pipeline.visualization.png import around_gray, encoded, of_images, of_maps, sheet, wrapped


def tile(pixels, grid, row, column):
    at = [grid["gap"] + n * (grid["tile"] + grid["gap"]) for n in (row, column)]
    return pixels[at[0] : at[0] + grid["tile"], at[1] : at[1] + grid["tile"]]


def test_colors_are_symmetric_around_gray_and_know_no_method():
    maps = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(around_gray(maps) - 0.5, 0.5 - around_gray(-maps))
    torch.testing.assert_close(around_gray(maps), around_gray(1000 * maps))
    assert (around_gray(torch.zeros(1, 3, 4, 4)) == 0.5).all()
    full = ((around_gray(maps) == 0) | (around_gray(maps) == 1)).flatten(1).float().mean(1)
    assert ((full > 0.004) & (full < 0.006)).all()


def test_tiles_are_where_the_grid_says():
    values = torch.rand(5, 3, 40, 40)
    canvas, grid = sheet(wrapped(of_images(values), 3))
    png = encoded(canvas)
    assert (grid.rows, grid.columns) == (2, 3)
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    times = grid.tile // 40
    for n in range(5):
        shown = tile(pixels, grid.plain(), n // 3, n % 3)[::times, ::times, :3]
        np.testing.assert_array_equal(shown, (values[n] * 255).round().byte().permute(1, 2, 0).numpy())
    assert (tile(pixels, grid.plain(), 1, 2) == 0).all()  # nothing there: transparent
    assert of_maps(torch.randn(1, 3, 8, 8))[0].shape == (8, 8, 4)
