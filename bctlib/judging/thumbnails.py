"""Small pictures that live inside a page: turned as their camera says, some kilobytes each."""

import base64
import io
import itertools
from pathlib import Path

from PIL import Image, ImageOps

from bctlib.data.image_files import fault
from bctlib.errors import BctError

SIDE = 128
"""Longest side, pixels."""
MOST_BYTES = 6_000
QUALITIES = (85, 70, 55, 40, 25)


def thumbnail(path: Path) -> str:
    """A `data:` address of the image as a JPEG of at most `SIDE` pixels and `MOST_BYTES` bytes.

    EXIF rotation is applied, transparency is laid on white. Raises BctError that names a file that cannot be read.
    """
    try:
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BctError(f"{path}: {fault(path, decode=True) or error}") from error
    turned.thumbnail((SIDE, SIDE))
    flat = Image.new("RGB", turned.size, "white")
    flat.paste(turned, mask=turned.getchannel("A"))
    for side, quality in itertools.product((SIDE, SIDE // 2), QUALITIES):
        flat.thumbnail((side, side))
        file = io.BytesIO()
        flat.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
