"""Candidate typefaces, read from `typefaces.csv`, and their font files in Debian packages.

Packages are .deb files, unpacked trees, or downloaded by apt-get (no root). Columns of `typefaces.csv`: `name` (also
the sheet's file name), `package` (Debian), `file` (base name of the font inside the package), `index` (face in a
collection, else 0), `style`, `licence` (of the font, read by a person in the package's copyright file), `rank` (place
in the farthest-point order of `dev.glyphs.choose_typefaces`, empty if not eligible), and `desk` and `full` (the blocks
that the set of that name has in this typeface, separated by blanks).
"""

import csv
import gzip
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bctlib.base.errors import BctError, UsageError
from bctlib.base.text_lines import rows_of_text
from dev.glyphs.blocks import BLOCKS, SETS, Block

CANDIDATES = Path(__file__).with_name("typefaces.csv")
COLUMNS = ("name", "package", "file", "index", "style", "licence", "rank", *SETS)


@dataclass(frozen=True)
class Typeface:
    """One candidate typeface; `rank` is None if the rule leaves it out."""

    name: str
    package: str
    file: str
    index: int
    style: str
    licence: str
    rank: int | None
    desk: str
    full: str

    def blocks(self, set_name: str) -> list[Block]:
        """The blocks that a set (`desk` or `full`) has in this typeface."""
        return [BLOCKS[name] for name in getattr(self, set_name).split()]


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
        if not all(set(row[name].split()) <= set(blocks) for name, blocks in SETS.items()):
            raise ValueError
        return Typeface(**{**row, "index": int(row["index"]), "rank": rank})
    except (TypeError, ValueError) as error:
        expected = f"expected {len(COLUMNS)} fields: index and rank whole numbers, " + "; ".join(
            f"{name} of {', '.join(blocks)}" for name, blocks in SETS.items()
        )
        raise BctError(f"{where}: {expected}") from error


def pick_typefaces(names: list[str] | None, set_name: str) -> list[Typeface]:
    """The typefaces of a set (`desk` or `full`), or those named, in the order of `read_typefaces`."""
    faces = read_typefaces()
    if names:
        unknown = [name for name in names if name not in {face.name for face in faces}]
        if unknown:
            raise UsageError(f"--typefaces: {unknown[0]} is not a name in {CANDIDATES.name}.")
    faces = [face for face in faces if face.blocks(set_name)]
    outside = set(names or ()) - {face.name for face in faces}
    if outside:
        raise UsageError(f"--typefaces: {min(outside)} is not in the {set_name} set.")
    return [face for face in faces if face.name in names] if names else faces


@dataclass(frozen=True)
class FontFile:
    """The path of a typeface's font, and the version and copyright text of its package."""

    path: Path
    version: str
    copyright: str


def _run(command: list[str], where: Path) -> None:
    if shutil.which(command[0]) is None:
        raise BctError(
            f"{command[0]} is needed to get fonts from Debian packages and is not installed here; give "
            "--fonts a folder of unpacked packages instead."
        )
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise BctError(f"`{' '.join(command)}` failed: {last[0]}")


def download_packages(packages: list[str], folder: Path) -> None:
    """Download with `apt-get download` the packages of which `folder` has no .deb file."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if not any(folder.glob(f"{package}_*.deb")):
            _run(["apt-get", "download", package], folder)


def _unpack(package: str, fonts: Path, scratch: Path) -> Path:
    """Folder that holds the package's `usr` tree."""
    archives = sorted(fonts.glob(f"{package}_*.deb"))
    if len(archives) > 1:
        raise BctError(f"{fonts} holds {len(archives)} versions of {package}; leave the one to use.")
    if archives:
        tree = scratch / package
        if not tree.exists():
            tree.mkdir(parents=True)
            _run(["dpkg", "-x", str(archives[0].resolve()), str(tree)], scratch)
        return tree
    # An unpacked tree: one folder a package, or all packages unpacked in one place (`/` itself for installed fonts).
    for tree in (fonts / package, fonts, *fonts.parents):
        if (tree / "usr/share/doc" / package).is_dir():
            return tree
    raise BctError(f"{fonts} holds neither {package}_*.deb nor its unpacked tree; --download gets it with apt-get.")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def find_font(face: Typeface, fonts: Path, scratch: Path) -> FontFile:
    """Locate a typeface below `fonts`; a package that is a .deb file is unpacked into `scratch`.

    Raises BctError, naming the package, when the package, the font, its change log or its copyright file is missing.
    """
    tree = _unpack(face.package, fonts, scratch)
    paths = [path for path in sorted((tree / "usr/share/fonts").glob(f"**/{face.file}")) if not path.is_symlink()]
    if not paths:
        raise BctError(f"Package {face.package} under {fonts} holds no font file {face.file}.")
    doc = tree / "usr/share/doc" / face.package
    # A package that was made for Debian alone has no other change log than Debian's.
    log = next((path for name in ("changelog.Debian.gz", "changelog.gz") if (path := doc / name).is_file()), doc)
    if not log.is_file() or not (doc / "copyright").is_file():
        raise BctError(
            f"{doc} must hold copyright and changelog.Debian.gz (or changelog.gz), which give licence and version."
        )
    with gzip.open(log, "rt", encoding="utf-8", errors="replace") as lines:
        version = re.match(r"\S+ \(([^)]+)\)", lines.readline())
    if version is None:
        raise BctError(f"{log} line 1: expected `package (version) ...`.")
    return FontFile(paths[0], version[1], _text(doc / "copyright"))
