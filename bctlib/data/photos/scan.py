"""The files below the folder of one identity: its images, recognised by name or content, and what is left out.

A file with an image's suffix counts as an image; the content of any other file decides. Links to folders are followed,
each real folder once. What is left out (other files, hidden images and folders, circular links) is counted, with an
example.
"""

import os
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from PIL import Image

from bctlib.base.errors import BctError
from bctlib.data.photos.files import is_image_name

BESIDE = ("image beside the folders of the classes", "images beside the folders of the classes")
DEAD_LINK = ("dead link", "dead links")
EMPTY = ("folder without an image", "folders without an image")
HIDDEN_FOLDER = ("hidden folder", "hidden folders")
HIDDEN_IMAGE = ("hidden image", "hidden images")
LINK = ("link to a folder that was seen already", "links to folders that were seen already")
NO_IMAGE = ("file that is no image", "files that are no images")

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")


class LeftOut:
    """How many of each kind (one, several) were left out, and the first of them."""

    def __init__(self):
        self.kinds: dict[tuple[str, str], tuple[int, str]] = {}

    def add(self, kind: tuple[str, str], path: str, n: int = 1) -> None:
        count, first = self.kinds.get(kind, (0, path))
        self.kinds[kind] = (count + n, first)

    def add_hidden(self, entry: os.DirEntry, path: str) -> None:
        """Count a hidden folder, and a hidden file with name and content of an image: what macOS keeps beside an image
        has only its name."""
        if is_folder(entry):
            self.add(HIDDEN_FOLDER, path)
        elif is_image_name(entry.name.lstrip("._")) and os.path.isfile(entry.path) and has_image_content(entry.path):
            self.add(HIDDEN_IMAGE, path)

    def add_all(self, other: "LeftOut") -> None:
        for kind, (count, first) in other.kinds.items():
            self.add(kind, first, count)

    def text(self) -> str:
        """`left out: 4 images beside ... (a.jpg, ...), 1 file that is no image (c/notes.txt)`; empty for nothing."""
        parts = [
            f"{count:,} {kind[count > 1]} ({first}{', ...' if count > 1 else ''})"
            for kind, (count, first) in sorted(self.kinds.items())
        ]
        return f"left out: {', '.join(parts)}" if parts else ""


@dataclass
class Scanned:
    """images: (path, bytes) of each, sorted; folders: (path, `change_time`) of each; paths are relative to the root."""

    images: list[tuple[str, int]] = field(default_factory=list)
    folders: list[tuple[str, int]] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)


def change_time(path: Path) -> int:
    """A number that is another when the folder or file has changed, also where its time was set back; -1: is gone."""
    try:
        state = path.stat()
    except OSError:
        return -1
    return state.st_mtime_ns + state.st_ctime_ns


def size_of(path: Path) -> int:
    """Bytes, -1 where there is no such file."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return -1


def is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder or a link to one."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()  # the entry raises for links in a circle


def is_dead_link(entry: os.DirEntry) -> bool:
    """Whether it is a link whose target is not there, such as a folder on a disk that is not mounted."""
    return entry.is_symlink() and not os.path.exists(entry.path)


def is_image(entry: os.DirEntry) -> bool:
    """Whether a file is an image by its name or, if that says nothing, its content; pipes and devices are none.

    A dead link with the name of an image counts as one: reading it reports that it is missing.
    """
    if os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file():
        return is_image_name(entry.name) or has_image_content(entry.path)
    return is_image_name(entry.name) and is_dead_link(entry)


def has_image_content(path: str | Path) -> bool:
    """Whether a file begins as an image that can be read; the rest of it is not looked at."""
    try:
        with Image.open(path, formats=_formats()):
            return True
    except Image.DecompressionBombError:
        return True  # reading it reports that it is too large
    except Exception:  # what other files do to readers of images has no end of kinds
        return False


@lru_cache(maxsize=1)
def _formats() -> list[str]:
    """Those that the installed version of Pillow can read."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def scan_identity(root: Path, name: str) -> Scanned:
    """Everything below ROOT/NAME. Raises BctError naming a folder that cannot be read."""
    found = Scanned()
    seen = {_real(root)}
    folders, links = deque([name]), deque()  # links last: what lies in the folder itself has its own path
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        try:
            if (real := _real(root / folder)) in seen:
                found.left_out.add(LINK, folder)
                continue
            seen.add(real)
            found.folders.append((folder, change_time(root / folder)))
            with os.scandir(root / folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = f"{folder}/{entry.name}"
                    if entry.name.startswith("."):
                        found.left_out.add_hidden(entry, path)
                    elif is_folder(entry):
                        (links if entry.is_symlink() else folders).append(path)
                    elif is_image(entry):
                        found.images.append((path, max(0, size_of(root / path))))  # a dead link counts as empty
                    elif is_dead_link(entry):
                        found.left_out.add(DEAD_LINK, path)
                        found.folders.append((path, change_time(root / path)))  # it may come to life
                    else:
                        found.left_out.add(NO_IMAGE, path)
        except OSError as error:
            raise BctError(f"cannot read {error.filename or root / folder}: {error.strerror}") from error
    found.images.sort()
    return found


def _real(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino
