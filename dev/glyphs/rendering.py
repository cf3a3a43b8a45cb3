"""Draws the characters of one typeface with FreeType, and writes them as a sheet.

Each typeface is drawn at one size, chosen so that its larger glyphs (90th percentile of a fixed sample) span 82 % of
the cell. Typefaces that fill their em box differently thus have the same size, and a small character stays smaller than
a large one. A glyph is centred by the bounding box of its ink; the few that would not fit are drawn smaller.
Glyphs are drawn four times as large and averaged down, which removes all traces of hinting and of bitmaps in the font,
then rounded to 16 levels. The lightest and the darkest fifteenth of the grey scale count as paper and as ink, which is
invisible and makes the sheets a twentieth smaller.
"""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bctlib.base.errors import BctError
from bctlib.data.glyphs import LEVELS, sheet_shape
from dev.glyphs.blocks import Block

SUPERSAMPLING = 4
FILL = 0.82  # share of the cell's side that a typical large glyph spans; 23 of 28 pixels
_PAPER_BELOW, _INK_ABOVE = 17, 238  # of 255
# Pillow writes 4 bits a pixel only with a palette; this one is plain grey, with the ink level as its index.
_PALETTE = [255 - 17 * level for level in range(LEVELS) for _ in range(3)]


def covered_code_points(path: Path, index: int) -> set[int]:
    """Unicode code points in the character map of face `index` of a font file.

    Raises BctError if fontTools is missing or the file is not a font.
    """
    try:
        from fontTools.ttLib import TTFont, TTLibError
    except ModuleNotFoundError as error:
        raise BctError("Building glyphs needs fontTools: run `uv sync` or `pip install fonttools`.") from error
    # Old fonts have untidy tables that do not matter here (glyph names).
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    number = index if path.suffix.lower() == ".ttc" else -1
    try:
        with TTFont(path, lazy=True, fontNumber=number) as font:
            tables = font["cmap"].tables
            return {code for table in tables if table.isUnicode() and table.format != 14 for code in table.cmap}
    except (TTLibError, OSError, KeyError) as error:
        raise BctError(f"{path} is not a font with a character map ({error}).") from error


def _font(path: Path, index: int, pixels: float) -> ImageFont.FreeTypeFont:
    # The basic layout engine: no dependence on whether raqm is installed, and no vertical or contextual forms.
    return ImageFont.truetype(path, pixels, index=index, layout_engine=ImageFont.Layout.BASIC)


def _ink(font: ImageFont.FreeTypeFont, character: str, side: int) -> Image.Image | None:
    """The supersampled glyph cut to its ink, or None if it has none within a square of twice the cell's side."""
    canvas = Image.new("L", (2 * side, 2 * side), 0)
    # Its origin (left end of the baseline) stands so that an em box of the cell's size lies about in the middle.
    ImageDraw.Draw(canvas).text((side // 2, side * 11 // 8), character, fill=255, font=font, anchor="ls")
    box = canvas.getbbox()
    return canvas.crop(box) if box else None


def fitting_pixels(path: Path, index: int, sample: list[str], size: int) -> float:
    """Font size in (supersampled) pixels at which the sample's 90th percentile extent of ink is FILL of the cell."""
    trial = float(size * SUPERSAMPLING)
    font = _font(path, index, trial)
    drawn = (_ink(font, character, size * SUPERSAMPLING) for character in sample)
    extents = sorted(max(ink.size) for ink in drawn if ink)
    if not extents:
        raise BctError(f"{path} (face {index}) draws none of the sample characters.")
    typical = extents[int(0.9 * (len(extents) - 1))]
    # Quarter pixels: the same on every machine, whatever the last bits of the division.
    return round(4 * trial * FILL * size * SUPERSAMPLING / typical) / 4


def _draw(font: ImageFont.FreeTypeFont, character: str, size: int) -> np.ndarray | None:
    """Ink levels uint8 [S, S] of one glyph, or None if it does not fit the cell."""
    side = size * SUPERSAMPLING
    canvas = Image.new("L", (side, side), 0)
    ink = _ink(font, character, side)
    if ink is not None:
        if max(ink.size) > side:
            return None
        canvas.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
    grey = np.asarray(canvas.reduce(SUPERSAMPLING)).astype(np.int32).clip(_PAPER_BELOW, _INK_ABOVE) - _PAPER_BELOW
    span = _INK_ABOVE - _PAPER_BELOW
    return ((grey * (LEVELS - 1) + span // 2) // span).astype(np.uint8)


def render_typeface(path: Path, index: int, blocks: list[Block], size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw the identities of `blocks` in one face.

    Returns of each block ink levels, uint8 [n, S, S] in 0 (paper) to 15 (ink), and `present`, bool [n]: False, with an
    empty picture, where the character map lacks the character, the drawing is empty, or another character of the block
    or of an earlier one has the very same picture (a placeholder, or one form drawn for two characters), which
    therefore shows no identity.
    """
    covered = covered_code_points(path, index)
    earlier: set[bytes] = set()
    try:
        return [_render(path, index, covered, block, size, earlier) for block in blocks]
    except OSError as error:  # a font that FreeType cannot open or draw
        raise BctError(f"{path} (face {index}) cannot be drawn by FreeType ({error}).") from error


def _render(
    path: Path, index: int, covered: set[int], block: Block, size: int, earlier: set[bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """One block; its pictures are added to `earlier`."""
    pixels = fitting_pixels(path, index, [character for character in block.sample if ord(character) in covered], size)
    font = _font(path, index, pixels)
    levels = np.zeros((len(block.identities), size, size), np.uint8)
    for i, character in enumerate(block.characters):
        if ord(character) not in covered:
            continue
        drawn = _draw(font, character, size)
        shrunk = pixels
        while drawn is None:
            shrunk *= 0.95
            drawn = _draw(_font(path, index, round(4 * shrunk) / 4), character, size)
        levels[i] = drawn
    pictures = [picture.tobytes() for picture in levels]
    times = Counter(pictures)
    alone = np.array([times[picture] == 1 and picture not in earlier for picture in pictures])
    present = levels.any(axis=(1, 2)) & alone
    earlier.update(pictures)
    levels[~present] = 0
    return levels, present


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
