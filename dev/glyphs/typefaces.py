"""Reader of `typefaces.csv`, the declarative list of candidate typefaces.

Columns: `name` (also the sheet's file name), `package` (Debian), `file` (base name of the font inside the package),
`index` (face in a collection, else 0), `style`, `licence` (of the font, read by a person in the package's copyright
file), `rank` (place in the farthest-point order of `dev.glyphs.choose_typefaces`, empty if not eligible) and
`subset` (`desk` for the committed ones).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from bctlib.base.text_lines import rows_of_text
from bctlib.base.errors import BctError, UsageError

CANDIDATES = Path(__file__).with_name("typefaces.csv")
COLUMNS = ("name", "package", "file", "index", "style", "licence", "rank", "subset")


@dataclass(frozen=True)
class Typeface:
    """One candidate typeface; `rank` is None where the rule leaves it out."""

    name: str
    package: str
    file: str
    index: int
    style: str
    licence: str
    rank: int | None
    subset: str


def read_typefaces(path: Path = CANDIDATES) -> list[Typeface]:
    """All candidates, the ranked ones first in order of rank, then the others in the order of the file."""
    faces = []
    reader = csv.DictReader(rows_of_text(path), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise BctError(f"{path} line 1: expected the columns {', '.join(COLUMNS)}.")
        for row in reader:
            faces.append(_typeface(row, f"{path} line {reader.line_num}"))
    except csv.Error as error:
        raise BctError(f"{path} line {reader.line_num}: is not CSV ({error}).") from None
    names = [face.name for face in faces]
    if len(set(names)) != len(names):
        raise BctError(f"{path}: each typeface name may stand only once.")
    return sorted(faces, key=lambda face: face.rank if face.rank is not None else len(faces) + 1)


def _typeface(row: dict, where: str) -> Typeface:
    try:
        if None in row.values():
            raise ValueError
        rank = int(row["rank"]) if row["rank"] else None
        return Typeface(**{**row, "index": int(row["index"]), "rank": rank})
    except (TypeError, ValueError) as error:
        expected = f"expected {len(COLUMNS)} fields with whole numbers as index and rank."
        raise BctError(f"{where}: {expected}") from error


def pick_typefaces(names: list[str] | None, subset: str) -> list[Typeface]:
    """The typefaces of a set (`desk` or `full`), or those named, in the order of `read_typefaces`."""
    faces = read_typefaces()
    if names:
        unknown = [name for name in names if name not in {face.name for face in faces}]
        if unknown:
            raise UsageError(f"--typefaces: {unknown[0]} is not a name in {CANDIDATES.name}.")
        return [face for face in faces if face.name in names]
    return faces if subset == "full" else [face for face in faces if face.subset == subset]
