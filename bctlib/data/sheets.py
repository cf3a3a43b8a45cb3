"""Sprite sheets: all glyphs of one typeface in one 4-bit grey PNG, dark ink on white paper."""

from pathlib import Path

import numpy as np
from PIL import Image

from bctlib.base.errors import BctError

LEVELS = 16
# Pillow writes 4 bits a pixel only with a palette; this one is plain grey, with the ink level as its index.
_PALETTE = [255 - 17 * level for level in range(LEVELS) for _ in range(3)]


def sheet_shape(n_glyphs: int, size: int, columns: int) -> tuple[int, int]:
    """Height and width of a sheet in pixels."""
    return -(-n_glyphs // columns) * size, columns * size


def write_sheet(path: Path, levels: np.ndarray, columns: int) -> None:
    """Write ink levels, uint8 [n, S, S] in 0 (paper) to 15 (ink), row by row as a grid of `columns` glyphs."""
    n, size = levels.shape[0], levels.shape[1]
    height, width = sheet_shape(n, size, columns)
    cells = np.zeros((height // size * columns, size, size), np.uint8)
    cells[:n] = levels
    grid = cells.reshape(-1, columns, size, size).swapaxes(1, 2).reshape(height, width)
    image = Image.fromarray(grid)
    image.putpalette(_PALETTE)  # turns the grey image into a palette image with the same indices
    image.save(path, format="PNG", bits=4, compress_level=9)


def read_sheet(path: Path, n_glyphs: int, size: int, columns: int) -> np.ndarray:
    """Read a sheet back as ink levels, uint8 [n, S, S] in 0 (paper) to 15 (ink).

    Raises BctError if the file is not a sheet of that shape.
    """
    height, width = sheet_shape(n_glyphs, size, columns)
    try:
        with Image.open(path) as image:
            if image.format != "PNG" or image.mode != "P" or image.size != (width, height):
                raise BctError(
                    f"{path} is not a glyph sheet: expected a palette PNG of {width} x {height} pixels, "
                    f"found {image.format} {image.mode} {image.size[0]} x {image.size[1]}."
                )
            grid = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise BctError(f"{path} cannot be read as a PNG glyph sheet ({error}).") from error
    if grid.max(initial=0) >= LEVELS:
        raise BctError(f"{path} is not a glyph sheet: expected ink levels 0 to 15, found {int(grid.max())}.")
    cells = grid.reshape(-1, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)
    return cells[:n_glyphs]
