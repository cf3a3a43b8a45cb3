"""Single image files: read one, or say in a few words what is wrong with it."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bctlib.errors import BctError

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".avif")
"""Names that end so, in any case, count as images."""

_JPEG = (b"\xff\xd8", b"\xff\xd9")
_PNG = (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")
# Some cameras pad a JPEG behind its end marker; more padding than this makes `fault` decode the file.
_TAIL_BYTES = 64


def is_image_name(name: str) -> bool:
    """Whether a file of that name is taken for an image; hidden files are not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def read_image(path: Path) -> np.ndarray:
    """The image as uint8 [H,W,3], RGB; grey and palette images are converted, EXIF rotation is not applied.

    Raises BctError that names the file when it is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BctError(f"{path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such image file"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image that can be read"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if "truncated" in str(error) or "unrecognized data stream" in str(error):
        return "is a truncated image"
    return f"is a damaged image: {error}"


def fault(path: Path, decode: bool = False) -> str | None:
    """What is wrong with an image file, in a few words, or None.

    Without `decode` only its first and last bytes are read; a file that lacks the end marker of its format is decoded
    to make sure. With `decode` every file is: slower by far, and it also finds damage in the middle.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read()
    except OSError as error:
        return _reason(error)
    if size == 0:
        return "is empty (0 bytes)"
    whole = any(head.startswith(first) and last in tail for first, last in (_JPEG, _PNG))
    if whole and not decode:
        return None
    try:
        read_image(path)
    except BctError as error:
        return str(error).removeprefix(f"{path}: ")
    return None
