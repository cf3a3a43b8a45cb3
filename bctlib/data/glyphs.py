"""The glyph set in memory, loaded from a folder of sprite sheets and verified against its manifest.

A sprite sheet is one 4-bit grey PNG with all glyphs of one block of identities in one typeface, dark ink on white
paper. A typeface has sheets of the blocks that it draws.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bctlib.base import locations
from bctlib.base.errors import BctError
from bctlib.base.text_lines import text_lines

LEVELS = 16


def sheet_shape(n_glyphs: int, size: int, columns: int) -> tuple[int, int]:
    """Height and width of a sheet in pixels."""
    return -(-n_glyphs // columns) * size, columns * size


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


SCHEMA = 2
MANIFEST = "manifest.json"
IDENTITIES = "identities.tsv"
_FILE_ENTRY = {"bytes": int, "sha256": str}
_BLOCK_ENTRY = {"name": str, "n_identities": int, "columns": int}
_FACE_ENTRY = {"name": str, "sheets": list, "missing": str}
IDENTITY_COLUMNS = ("index", "character", "code_point", "row_cell", "block")
_FIELDS = {
    "schema": int,
    "set": str,
    "size": int,
    "blocks": list,
    "typefaces": list,
    "files": dict,
}
LARGEST = 10**5
"""Of any count in a manifest, far beyond what there is: a damaged one must not cost gigabytes."""
_INK = 17  # 15 levels of ink onto 0 to 255


@dataclass(frozen=True)
class GlyphSet:
    """Every character in every typeface.

    characters: the identities, one character each; typefaces: their names.
    images: uint8 [n_identities, n_typefaces, S, S], 0 = paper, 255 = ink, in steps of 17.
    present: bool [n_identities, n_typefaces], False where the typeface lacks the character (its picture is then empty).
    version: 12 hexadecimal digits that change with any picture or identity, but not with the wording of licences;
    names the data in results and store keys.
    """

    characters: tuple[str, ...]
    typefaces: tuple[str, ...]
    images: np.ndarray
    present: np.ndarray
    version: str


def _has_fields(entry: object, fields: dict[str, type]) -> bool:
    return isinstance(entry, dict) and {key: type(value) for key, value in entry.items()} == fields


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BctError(f"{path} is missing: expected a folder made by `python -m dev.glyphs.build`.") from error
    try:
        manifest = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BctError(f"{path} is not valid JSON ({error}); the glyph data are damaged.") from error
    if not isinstance(manifest, dict):
        raise BctError(f"{path}: expected a JSON object.")
    for field, kind in _FIELDS.items():
        value = manifest.get(field)
        if type(value) is not kind or (kind is int and not 0 < value <= LARGEST):
            limits = f" from 1 to {LARGEST}" if kind is int else ""
            raise BctError(f"{path}: expected the field '{field}' of type {kind.__name__}{limits}.")
        if kind is list and not 0 < len(value) <= LARGEST:
            raise BctError(f"{path}: expected at least one entry and at most {LARGEST} in '{field}'.")
    if manifest["schema"] != SCHEMA:
        raise BctError(f"{path}: expected schema {SCHEMA}, found {manifest['schema']}.")
    for entry in manifest["blocks"]:
        if not _has_fields(entry, _BLOCK_ENTRY) or not all(
            0 < entry[field] <= LARGEST for field in ("n_identities", "columns")
        ):
            raise BctError(f"{path}: each entry of 'blocks' needs name, n_identities and columns (1 to {LARGEST}).")
    for entry in manifest["typefaces"]:
        if not _has_fields(entry, _FACE_ENTRY) or len(entry["sheets"]) != len(manifest["blocks"]):
            raise BctError(f"{path}: each entry of 'typefaces' needs name, sheets (one per block) and missing.")
        if any(
            not isinstance(sheet, str | None) or sheet not in {None, *manifest["files"]} for sheet in entry["sheets"]
        ):
            raise BctError(f"{path}: each of the sheets of {entry['name']!r} must be a listed file or null.")
    for name, entry in manifest["files"].items():
        if not _has_fields(entry, _FILE_ENTRY):
            raise BctError(f"{path}: expected bytes (a number) and sha256 (a text) for {name!r}.")
        if name in ("", ".", "..") or not name.isprintable() or "/" in name or "\\" in name:
            raise BctError(f"{path}: lists the file {name!r}, expected the name of one in this folder.")
    if IDENTITIES not in manifest["files"]:
        raise BctError(f"{path}: expected {IDENTITIES} among its files.")
    return manifest


def verify_files(folder: Path, files: dict) -> None:
    """Check byte length and sha256 of every file that the manifest lists; BctError names the first that differs."""
    for name, expected in files.items():
        path = folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BctError(f"{path} is missing, but {folder / MANIFEST} lists it.") from error
        if len(content) != expected["bytes"]:
            raise BctError(f"{path} is damaged: expected {expected['bytes']} bytes, found {len(content)}.")
        if hashlib.sha256(content).hexdigest() != expected["sha256"]:
            raise BctError(f"{path} is damaged: its sha256 is not the one in {folder / MANIFEST}.")


def _read_characters(folder: Path, expected: int) -> tuple[str, ...]:
    path = folder / IDENTITIES
    header, *lines = list(text_lines(path)) or [""]
    if tuple(header.split("\t")) != IDENTITY_COLUMNS:
        raise BctError(f"{path} line 1: expected the columns {', '.join(IDENTITY_COLUMNS)}.")
    if len(lines) != expected:
        raise BctError(f"{path}: expected {expected} identities, found {len(lines)}.")
    rows = [line.split("\t") for line in lines]
    for number, cells in enumerate(rows, 2):
        if len(cells) != len(IDENTITY_COLUMNS) or len(cells[1]) != 1:
            raise BctError(f"{path} line {number}: expected {len(IDENTITY_COLUMNS)} fields, the second one character.")
    return tuple(cells[1] for cells in rows)


def _sheets(folder: Path, manifest: dict) -> Iterator[tuple[int, slice, np.ndarray]]:
    """Every sheet as the number of its typeface, the rows of its block, and its ink levels."""
    for face, entry in enumerate(manifest["typefaces"]):
        start = 0
        for block, sheet in zip(manifest["blocks"], entry["sheets"], strict=True):
            rows = slice(start, start + block["n_identities"])
            start = rows.stop
            if sheet is not None:
                levels = read_sheet(folder / sheet, block["n_identities"], manifest["size"], block["columns"])
                yield face, rows, levels


def _version(manifest: dict) -> str:
    """Digest of what decides the pictures: the files' digests, their order, and which glyphs are missing."""
    pictures = {name: entry["sha256"] for name, entry in manifest["files"].items() if name.endswith(".png")}
    decisive = [
        manifest["size"],
        manifest["blocks"],
        manifest["typefaces"],
        pictures,
        manifest["files"][IDENTITIES]["sha256"],
    ]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def load_glyphs(folder: Path | None = None) -> GlyphSet:
    """Load and verify a glyph folder (default: `glyphs` in the data folder, the committed desk set).

    Raises BctError, naming the file, when the manifest or any listed file is missing, cut, altered or malformed.
    """
    folder = Path(folder) if folder is not None else locations.data_dir() / "glyphs"
    manifest = _read_manifest(folder)
    verify_files(folder, manifest["files"])
    characters = _read_characters(folder, sum(block["n_identities"] for block in manifest["blocks"]))
    size, names = manifest["size"], tuple(entry["name"] for entry in manifest["typefaces"])
    images = np.zeros(0, np.uint8)
    present = np.zeros((len(characters), len(names)), bool)
    for face, rows, levels in _sheets(folder, manifest):
        if not images.size:  # now a sheet has shown that the size is what the manifest says
            images = np.zeros((len(characters), len(names), size, size), np.uint8)
        np.multiply(levels, _INK, out=images[rows, face])
        missing = set(manifest["typefaces"][face]["missing"])
        present[rows, face] = [character not in missing for character in characters[rows]]
    if not images.size:
        raise BctError(f"{folder / MANIFEST}: expected at least one sheet among its typefaces.")
    return GlyphSet(characters, names, images, present, _version(manifest))
