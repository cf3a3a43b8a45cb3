"""IMDB-Face as published: a CSV that says which face is where in which picture of which person.

The columns are `name,index,image,rect,height width,url`. index identifies the person (`nm0437156`): two people may
share a name, and one person may have two spellings. rect is `x0 y0 x1 y1` in a picture of the given height and width.
The pictures themselves were never distributed, and most links are dead.
"""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.text_lines import rows_of_text
from bctlib.data.photos.class_names import class_names
from bctlib.data.photos.files import PathList
from bctlib.data.photos.framing import FACE, Boxes
from bctlib.data.photos.index import ImageIndex, index_of

COLUMNS = ("name", "index", "image", "rect", "height width", "url")
PUBLISHED_ROWS, PUBLISHED_UNIQUE = 1_662_888, 1_632_927
_ENDINGS = ("", ".jpg", ".jpeg", ".png")
_WHOLE = re.compile("-?[0-9]+")


class FaceRow(NamedTuple):
    """One line. rect: x0 y0 x1 y1; stated: height, width; both in pixels."""

    name: str
    index: str
    image: str
    rect: tuple[int, int, int, int]
    stated: tuple[int, int]
    url: str


@dataclass(frozen=True)
class FaceTable:
    """The n different faces (index, image) of the CSV, in its order; of a repeated one the first line counts.

    index, image, name: of each face. rects: int32 [n,4]; stated: int32 [n,2], height and width; lines: int32 [n].
    n_rows: lines read, repeated ones included.
    """

    path: Path
    index: PathList
    image: PathList
    name: PathList
    rects: np.ndarray
    stated: np.ndarray
    lines: np.ndarray
    n_rows: int

    def __len__(self) -> int:
        return len(self.index)


def read_rows(path: Path, faults: list[str] | None = None) -> Iterator[tuple[int, FaceRow]]:
    """(line number, row) of each line after the header.

    A faulty line raises BctError with file and line or, if `faults` is given, adds that sentence to it and is skipped.
    """
    reader = csv.reader(rows_of_text(path), strict=True)
    try:
        header = next(reader, [])
        if tuple(cell.strip() for cell in header) != COLUMNS:
            raise BctError(f"{path}, line 1: expected the header {','.join(COLUMNS)}")
        for cells in reader:
            if not cells:
                continue
            try:
                yield reader.line_num, parse_row(cells)
            except ValueError as error:
                sentence = f"{path}, line {reader.line_num}: {error}"
                if faults is None:
                    raise BctError(sentence) from None
                faults.append(sentence)
    except csv.Error as error:
        raise BctError(f"{path}, line {reader.line_num}: is not CSV ({error})") from None


def parse_row(cells: list[str]) -> FaceRow:
    """The checked row. Raises ValueError that says what is wrong with it."""
    if len(cells) != len(COLUMNS):
        raise ValueError(f"has {len(cells)} fields, expected {len(COLUMNS)} ({', '.join(COLUMNS)})")
    name, index, image, rect, stated, url = (cell.strip() for cell in cells)
    x0, y0, x1, y1 = _whole_numbers(rect, "rect", "x0 y0 x1 y1")
    height, width = _whole_numbers(stated, "height width", "height width")
    for what, text in (("name", name), ("index", index), ("image", image)):
        if not text or "\0" in text or text.startswith("/") or ".." in text.replace("\\", "/").split("/"):
            raise ValueError(f"{what} is {text!r}, expected a name")
    if height < 1 or width < 1:
        raise ValueError(f"height width is {stated!r}, expected 1 pixel or more")
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"rect is {rect!r}, expected x0 < x1 and y0 < y1")
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise ValueError(f"rect {rect!r} lies outside its picture of {height} x {width} (height x width)")
    return FaceRow(name, index, image, (x0, y0, x1, y1), (height, width), url)


def _whole_numbers(text: str, what: str, expected: str) -> list[int]:
    words = text.split()
    if len(words) != len(expected.split()) or not all(_WHOLE.fullmatch(word) for word in words):
        raise ValueError(f"{what} is {text!r}, expected whole numbers {expected}")
    if any(len(word) > 11 or abs(int(word)) >= 1 << 31 for word in words):
        raise ValueError(f"{what} is {text!r}, expected numbers below 2**31")
    return [int(word) for word in words]


def read_face_table(path: Path, faults: list[str] | None = None) -> FaceTable:
    """The table, each (index, image) once. `faults` as in `read_rows`. Raises BctError also where it holds no row."""
    seen: dict[tuple[str, str], tuple[int, FaceRow]] = {}
    n_rows = 0
    for line, row in read_rows(path, faults):
        n_rows += 1
        seen.setdefault((row.index, row.image), (line, row))
    if not seen:
        raise BctError(f"{path} holds no usable line after its header")
    rows = [row for _, row in seen.values()]
    return FaceTable(
        path,
        PathList.of(row.index for row in rows),
        PathList.of(row.image for row in rows),
        PathList.of(row.name for row in rows),
        np.array([row.rect for row in rows], np.int32),
        np.array([row.stated for row in rows], np.int32),
        np.array([line for line, _ in seen.values()], np.int32),
        n_rows,
    )


def find_pictures(table: FaceTable, folder: Path) -> tuple[ImageIndex, np.ndarray]:
    """The pictures of the table that are in `folder`, by person, and the face (position in the table) of each: int64.

    Looked for as INDEX/IMAGE, NAME/IMAGE (with blanks or underscores) and IMAGE, with or without the ending .jpg,
    .jpeg or .png. Raises BctError when none is there.
    """
    names_in = lru_cache(maxsize=256)(lambda sub: _names_in(folder / sub))  # the rows of one person stand together
    found = []
    for face, (index, image, name) in enumerate(zip(table.index, table.image, table.name, strict=True)):
        for sub in (index, name, name.replace(" ", "_"), "."):
            picture = next((image + ending for ending in _ENDINGS if image + ending in names_in(sub)), None)
            if picture:
                path = picture if sub == "." else f"{sub}/{picture}"
                found.append((path, index, names_in(sub)[picture], face))
                break
    if not found:
        raise BctError(
            f"{folder} holds none of the {len(table)} pictures of {table.path.name}: expected INDEX/IMAGE.jpg"
        )
    paths, identities, sizes, faces = zip(*found, strict=True)
    identities = class_names(identities, str(table.path))
    index = index_of(folder, paths, identities, np.array(sizes, np.int64))
    # The index has an order of its own: identity and path tell which face an entry is.
    position = dict(zip(zip(identities, paths, strict=True), faces, strict=True))
    order = [position[index.classes[label], path] for label, path in zip(index.labels, index.paths, strict=True)]
    return index, np.array(order, np.int64)


def _names_in(folder: Path) -> dict[str, int]:
    """File names and sizes in bytes; nothing where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except (OSError, ValueError):
        return {}


def face_boxes(table: FaceTable, faces: np.ndarray, size: tuple[int, int] = FACE, margin: float = 0.0) -> Boxes:
    """The framing of those faces (positions in the table): their boxes, scaled to the real size of each picture."""
    return Boxes(table.rects[faces], table.stated[faces], size, margin)
