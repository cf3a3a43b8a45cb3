"""Small JPEGs of a few kilobytes for the page: the images as the network reads them, smaller."""

import base64
import io
import itertools
from pathlib import Path

from PIL import Image

from bctlib.data.photos.files import read_image

SIDE = 128
"""Longest side, pixels."""
MOST_BYTES = 6_000
QUALITIES = (85, 70, 55, 40, 25)


def thumbnail(path: Path) -> str:
    """A `data:` address of the image as a JPEG of at most `SIDE` pixels and `MOST_BYTES` bytes.

    EXIF rotation and transparency are ignored, as for the network. Raises BctError naming a file that cannot be read.
    """
    picture = Image.fromarray(read_image(path))
    for side, quality in itertools.product((SIDE, SIDE // 2), QUALITIES):
        picture.thumbnail((side, side))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
