"""Image files: read one, find what is wrong with one or with many, and hold millions of their paths.

`image_faults` checks files in threads before hours of work depend on them. `PathList` keeps relative paths in two
arrays, which use little memory and are not copied into worker processes. `in_threads` maps a function that waits for
the file system over many items.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from bctlib.base import progress
from bctlib.base.errors import BctError

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
    """The image as uint8 [H,W,3], RGB: what a network sees of a file, and what a report shows of it.

    Grey, palette and CMYK images are converted, 16 bits per channel are scaled to 8. Transparency is ignored (every
    pixel has the colour that is stored), EXIF rotation is not applied, of several pictures the first is read. Raises
    BctError that names the file when it is missing, truncated, too large or no image, and when its numbers do not say
    what is white (floating-point, signed or 32-bit ones).
    """
    try:
        with Image.open(path) as image:
            if image.format == "EPS":
                raise _NotRead("is an EPS file, a program that Ghostscript would execute: expected an image of pixels")
            image.load()  # here, as NumPy would take an AttributeError of a decoder for "this is no array"
            return _as_rgb(image)
    # Decoders raise whatever they like on damaged bytes: AVIF's RuntimeError, struct.error, IndexError, MemoryError.
    except Exception as error:
        raise BctError(f"{path}: {_reason(error)}") from error


class _NotRead(Exception):
    """An intact image of a kind that is not read; says which."""


def _as_rgb(image: Image.Image) -> np.ndarray:
    tags = getattr(image, "tag_v2", {})  # a TIFF's, by number
    if image.mode == "F" or any(kind != 1 for kind in tags.get(SAMPLEFORMAT, ())):
        raise _NotRead("holds signed or floating-point numbers: expected unsigned ones of at most 16 bits")
    if image.mode.startswith("I"):
        white = _white(image, tags)
        grey = np.asarray(image).astype(np.uint32)
        grey = ((grey * 255 + white // 2) // white).astype(np.uint8)
        if tags.get(PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero; Pillow inverts such images of 8 bits only
            grey = 255 - grey
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("P", "PA", "RGBa"):  # by this way Pillow neither warns of their transparency nor refuses
        image = image.convert("RGBA")
    try:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise _NotRead(f"has colours of the kind {image.mode}: expected RGB, grey, a palette or CMYK") from error


def _white(image: Image.Image, tags: Mapping[int, Any]) -> int:
    """The number that means white in a grey image of more than 8 bits. Raises _NotRead where nothing says so."""
    if image.format in ("PNG", "PPM", "JPEG2000"):  # Pillow scales the latter two to 16 bits
        return 65535
    bits = tags.get(BITSPERSAMPLE, (32,))[0]
    if bits > 16:
        raise _NotRead("holds 32-bit numbers: expected at most 16 bits")
    return (1 << bits) - 1


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "no such image file"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image that can be read"
    if isinstance(error, _NotRead):
        return text
    if isinstance(error, Image.DecompressionBombError):
        numbers = [f"{int(number):,}" for number in re.findall(r"\d+", text)]
        return "is too large: {} pixels, expected at most {}".format(*numbers) if len(numbers) == 2 else text
    if isinstance(error, MemoryError):
        return "is too large: there is not enough memory to decode it"
    if isinstance(error, NotImplementedError):
        return f"is an image of a kind that cannot be read: {text}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if "truncated" in text or "unrecognized data stream" in text:
        return "is a truncated image"
    return f"is a damaged image: {text}"


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
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
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


@dataclass(frozen=True)
class PathList:
    """n relative paths, with `/` between folders whatever the operating system.

    text: uint8, all paths one after the other as the file system encodes them; start: int64 [n+1], path i is
    text[start[i]:start[i+1]]. A Python list of strings would be copied, object by object, by every worker process
    that touches its reference counts.
    """

    text: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, paths: Iterable[str]) -> "PathList":
        encoded = [os.fsencode(path) for path in paths]
        start = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(path) for path in encoded], out=start[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), start)

    def __len__(self) -> int:
        return len(self.start) - 1

    def __getitem__(self, position: int) -> str:
        return os.fsdecode(self.text[self.start[position] : self.start[position + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        text = self.text.tobytes()
        ends = self.start.tolist()
        for position in range(len(self)):
            yield os.fsdecode(text[ends[position] : ends[position + 1]])

    def take(self, positions: np.ndarray) -> "PathList":
        """The paths at those positions, in that order."""
        lengths = np.diff(self.start)[positions]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        inside = np.arange(start[-1]) - np.repeat(start[:-1], lengths)
        return PathList(self.text[np.repeat(self.start[:-1][positions], lengths) + inside], start)


THREADS = 16
"""Enough to keep a disk busy, also one behind a network."""
_CHUNK = 256

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], chunk: int = _CHUNK) -> Iterator[Result]:
    """The results in the order of the items.

    chunk: items of one task; the executor's own map makes a task, a kilobyte, of every single item.
    """
    left = iter(items)
    chunks = iter(lambda: list(islice(left, chunk)), [])
    with ThreadPoolExecutor(THREADS) as pool:
        for results in pool.map(lambda some: [function(item) for item in some], chunks):
            yield from results


def image_faults(root: Path, paths: Iterable[str], decode: bool = False) -> Iterator[tuple[int, str, str]]:
    """(position, path, what is wrong) of each image below `root` that cannot be used.

    Without `decode` only the first and last bytes are read (`bctlib.data.photos.files.fault`).
    """
    paths = list(paths)
    with progress.task(f"images of {root.name}", len(paths), unit="image", every_s=10) as task:
        for position, wrong in enumerate(in_threads(lambda path: fault(root / path, decode), paths)):
            if wrong:
                yield position, str(root / paths[position]), wrong
            if position % 1000 == 999 or position + 1 == len(paths):
                task.step(position + 1)
