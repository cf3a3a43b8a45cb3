"""Builds a glyph folder from Debian font packages: `python -m dev.glyphs.build --fonts DIR`.

The committed set (`--set desk`) is the 6,355 kanji of JIS X 0208 in the typefaces that the column `desk` of
`typefaces.csv` marks for each level; `--set full` is these kanji and all Hangul syllables of Unicode in every candidate
typeface that draws them (column `full`). The typefaces of the
committed set were chosen for diversity: among those that draw at least 97 % of a level, greedily the one farthest in
design from those already taken, without near-duplicates (`dev.glyphs.choose_typefaces` states and runs the rule).

A folder holds one sprite sheet per typeface and block (level) that it draws, `identities.tsv`, `typefaces.csv`
(attribution), `LICENSES.txt` (the packages' copyright files), `manifest.json` with the sha256 of each of these, and
`README.md`. It is written beside its destination and renamed when complete. With the locked versions of Pillow and
fontTools and the package versions of the attribution table a rebuild gives the same bytes.
"""

import argparse
import csv
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bctlib.base import locations
from bctlib.base.errors import BctError, UsageError
from bctlib.data.glyphs import IDENTITIES, IDENTITY_COLUMNS, MANIFEST, SCHEMA
from dev.glyphs.blocks import FIRST, SETS, Block, blocks_of, columns_of
from dev.glyphs.fonts import FontFile, Typeface, download_packages, find_font, pick_typefaces
from dev.glyphs.readme import readme
from dev.glyphs.rendering import render_typeface, write_sheet

SIZES = range(8, 257)
ATTRIBUTION = "typefaces.csv"
ATTRIBUTION_COLUMNS = (
    "typeface",
    "style",
    "package",
    "version",
    "font_file",
    "index",
    "licence",
    "font_sha256",
    "glyphs",
)
LICENSES = "LICENSES.txt"
_RULE = "=" * 100


def _write_identities(path: Path, blocks: Sequence[Block]) -> None:
    lines = ["\t".join(IDENTITY_COLUMNS)]
    every = ((identity, block.name) for block in blocks for identity in block.identities)
    for i, (identity, name) in enumerate(every):
        lines.append(f"{i}\t{identity.character}\t{identity.code_point}\t{identity.row_cell}\t{name}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_attribution(path: Path, faces: list[Typeface], fonts: list[FontFile], drawn: list[int]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(ATTRIBUTION_COLUMNS)
        for face, font, count in zip(faces, fonts, drawn, strict=True):
            table.writerow(
                (
                    face.name,
                    face.style,
                    face.package,
                    font.version,
                    face.file,
                    face.index,
                    face.licence,
                    _sha256(font.path),
                    count,
                )
            )


def _write_licences(path: Path, faces: list[Typeface], fonts: list[FontFile]) -> None:
    texts = {face.package: font.copyright for face, font in zip(faces, fonts, strict=True)}
    parts = ["The copyright files of the Debian packages whose fonts were drawn, as the packages ship them.\n"]
    parts += [f"{_RULE}\n{package}\n{_RULE}\n{text.strip()}\n" for package, text in sorted(texts.items())]
    path.write_text("\n".join(parts), encoding="utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _draw(face: Typeface, font: FontFile, set_name: str, size: int, folder: Path) -> tuple[dict, int, int]:
    """Write the sheets of one typeface; its entry of the manifest, and of how many identities it draws how many."""
    blocks, sheets, missing, n_drawn = face.blocks(set_name), dict.fromkeys(SETS[set_name]), "", 0
    for block, (levels, present) in zip(blocks, render_typeface(font.path, face.index, blocks, size), strict=True):
        suffix = "" if block is FIRST else f"-{block.name}"
        sheets[block.name] = f"{face.name}{suffix}.png"
        write_sheet(folder / sheets[block.name], levels, columns_of(len(levels)))
        missing += "".join(np.array(block.characters)[~present])
        n_drawn += int(present.sum())
    entry = {"name": face.name, "sheets": list(sheets.values()), "missing": missing}
    return entry, n_drawn, sum(len(block.identities) for block in blocks)


def block_entry(block: Block) -> dict:
    """The manifest's entry of a block."""
    n = len(block.identities)
    return {"name": block.name, "n_identities": n, "columns": columns_of(n)}


def _write_manifest(folder: Path, set_name: str, size: int, blocks: list[dict], typefaces: list[dict]) -> None:
    files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(folder.iterdir())}
    manifest = {
        "schema": SCHEMA,
        "set": set_name,
        "size": size,
        "blocks": blocks,
        "typefaces": typefaces,
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _replace(finished: Path, out: Path) -> None:
    """Replace `out`, which is absent, empty or an earlier glyph folder, by the finished folder."""
    old = finished.with_name(finished.name + "-old")
    if out.exists():
        os.replace(out, old)
    os.replace(finished, out)
    shutil.rmtree(old, ignore_errors=True)


def _check_destination(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise BctError(f"--out {out} is a file; expected a folder to write.")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise BctError(f"--out {out} holds files that are not glyph data; name a new or an empty folder.")


def build_glyphs(
    fonts: Path,
    out: Path,
    set_name: str = "desk",
    size: int = 28,
    names: list[str] | None = None,
    download: bool = False,
    echo=print,
) -> None:
    """Build a glyph folder at `out` from the packages in `fonts`; see the module's docstring.

    Raises BctError when a package, a font or a tool is missing, or `out` holds something else; UsageError for an
    unknown set, size or typeface name. `out` changes only when the build is complete.
    """
    if set_name not in SETS:
        raise UsageError(f"--set: expected desk or full, found {set_name}.")
    if size not in SIZES:
        raise UsageError(f"--size: expected {SIZES.start} to {SIZES.stop - 1} pixels, found {size}.")
    faces = pick_typefaces(names, set_name)
    _check_destination(out)
    if download:
        download_packages(sorted({face.package for face in faces}), fonts)
    if not fonts.is_dir():
        raise BctError(f"--fonts {fonts} is not a folder; expected one with .deb packages or unpacked trees.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-building-", dir=out.parent) as scratch:
        # All fonts are located before any is drawn, so a missing package shows at once.
        (packages := Path(scratch) / "packages").mkdir()
        found = [find_font(face, fonts, packages) for face in faces]
        (folder := Path(scratch) / "glyphs").mkdir()
        entries, drawn, start = [], [], time.monotonic()
        for i, (face, font) in enumerate(zip(faces, found, strict=True)):
            entry, n_drawn, of = _draw(face, font, set_name, size, folder)
            entries.append(entry)
            drawn.append(n_drawn)
            left = (time.monotonic() - start) / (i + 1) * (len(faces) - i - 1)
            echo(f"{i + 1}/{len(faces)} {face.name}: {n_drawn} of {of} characters, about {left:.0f} s left")
        _write_identities(folder / IDENTITIES, blocks_of(set_name))
        _write_attribution(folder / ATTRIBUTION, faces, found, drawn)
        _write_licences(folder / LICENSES, faces, found)
        _write_manifest(folder, set_name, size, [block_entry(block) for block in blocks_of(set_name)], entries)
        # After the manifest, so that a better wording is not another version of the data.
        (folder / "README.md").write_text(readme(set_name, size, faces), encoding="utf-8")
        _replace(folder, out)
    total = sum(path.stat().st_size for path in out.iterdir())
    echo(f"{out}: {sum(drawn)} pictures of {size} x {size} px in {len(faces)} typefaces, {total / 1e6:.1f} MB")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.glyphs.build", description=__doc__.split("\n")[0])
    parser.add_argument("--fonts", type=Path, required=True, help="folder of .deb packages or unpacked trees")
    parser.add_argument("--out", type=Path, help="folder to write (default: glyphs or glyphs-full in the data folder)")
    parser.add_argument(
        "--set", default="desk", dest="set_name", metavar="desk|full", help="which characters and typefaces"
    )
    parser.add_argument("--size", type=int, default=28, help="side of a glyph in pixels (default 28)")
    parser.add_argument("--typefaces", nargs="+", metavar="NAME", help="only these typefaces")
    parser.add_argument("--download", action="store_true", help="get missing packages into --fonts (apt-get, no root)")
    given = parser.parse_args(arguments)
    out = given.out or locations.data_dir() / ("glyphs" if given.set_name == "desk" else f"glyphs-{given.set_name}")
    try:
        build_glyphs(given.fonts, out, given.set_name, given.size, given.typefaces, given.download)
    except BctError as error:
        print(f"build_glyphs: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
