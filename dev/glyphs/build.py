"""Builds a glyph folder from Debian font packages: `python -m dev.glyphs.build --fonts DIR`.

The committed set (`--set desk`) is the 2,965 kanji of JIS X 0208 level 1 in the typefaces marked `desk` in
`typefaces.csv`; `--set full` is all 6,355 kanji of both levels in every candidate typeface. The typefaces of the
committed set were chosen for diversity: among those that draw at least 97 % of level 1, greedily the one farthest in
design from those already taken, without near-duplicates (`dev.glyphs.choose_typefaces` states and runs the rule).

A folder holds one sprite sheet a typeface, `identities.tsv`, `typefaces.csv` (attribution), `LICENSES.txt` (the
packages' copyright files), `manifest.json` with the sha256 of each of these, and `README.md`. It is written beside its
destination and renamed when complete. With the locked versions of Pillow and fontTools and the package versions of the
attribution table a rebuild gives the same bytes.
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
from pathlib import Path

import numpy as np

from bctlib.base import locations
from bctlib.base.errors import BctError, UsageError
from bctlib.data.glyphs import IDENTITIES, IDENTITY_COLUMNS, MANIFEST, SCHEMA
from dev.glyphs.choose_typefaces import sample_kanji
from dev.glyphs.fonts import FontFile, Typeface, download_packages, find_font, pick_typefaces
from dev.glyphs.rendering import Kanji, level_one, level_two, render_typeface, write_sheet

_TEXT = """# Glyph identities ({set_name} set)

{n_identities:,} kanji of JIS X 0208 ({levels}) drawn in {n_faces} free typefaces of Debian. A kanji is an identity,
its picture in one typeface is an image of it.

- `NAME.png`: one sprite sheet a typeface, 4-bit grey, {size} x {size} px a glyph, {columns} glyphs a row, in the
  order of `identities.tsv`. A kanji that the typeface lacks, or draws exactly like another kanji, is left blank;
  `manifest.json` lists those.
- `identities.tsv`: index, character, code point, row and cell in JIS X 0208, level.
- `typefaces.csv`: style, Debian package and version, font file, its licence and sha256, number of kanji drawn.
- `LICENSES.txt`: the copyright file of each package. All fonts are free and may be redistributed; the sheets are
  pictures drawn with them and hold no font program. Where a text points to Debian's common licences, the GNU General
  Public License is at <https://www.gnu.org/licenses/> and the Apache License at <https://www.apache.org/licenses/>.
- `manifest.json`: size, counts, and sha256 and length of the files above; verified whenever the data are loaded.

How the typefaces of the desk set were chosen: among the candidates of `dev/glyphs/typefaces.csv` that draw at least
97 % of level 1, greedily the one whose design is farthest from those already chosen. The distance of two typefaces is
one minus the mean correlation of their slightly blurred pictures of the same kanji, over every 25th kanji of level 1;
the first is the most ordinary one. No model and no result was used. `python -m dev.glyphs.choose_typefaces` runs the
rule.

How a glyph is drawn: one size a typeface, at which the 90th percentile of its glyphs' extents is 82 % of the cell;
centred by its ink's bounding box; four times supersampled; 16 levels of grey (the lightest and darkest fifteenth of
the scale count as paper and ink).

To rebuild, with the package versions in `typefaces.csv` (another version may give other pictures):

    python -m dev.glyphs.build --fonts DIR --download --set {set_name} --size {size}
"""


def readme(set_name: str, size: int, columns: int, n_identities: int, faces: list[Typeface]) -> str:
    """The README.md of a glyph folder of `n_identities` kanji in these typefaces."""
    levels = "level 1" if set_name == "desk" else "levels 1 and 2"
    return _TEXT.format(
        set_name=set_name, size=size, columns=columns, n_identities=n_identities, n_faces=len(faces), levels=levels
    )


SIZES = range(8, 257)
# Grid columns: about as many as rows, so that a sheet is square and opens well in a viewer.
COLUMNS = {"desk": 55, "full": 80}
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
    "kanji",
)
LICENSES = "LICENSES.txt"
_RULE = "=" * 100


def _write_identities(path: Path, identities: list[Kanji]) -> None:
    lines = ["\t".join(IDENTITY_COLUMNS)]
    for i, kanji in enumerate(identities):
        lines.append(f"{i}\t{kanji.character}\t{kanji.code_point}\t{kanji.row}-{kanji.cell}\t{kanji.level}")
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


def _write_manifest(folder: Path, set_name: str, size: int, n_identities: int, entries: list[dict]) -> None:
    files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(folder.iterdir())}
    manifest = {
        "schema": SCHEMA,
        "set": set_name,
        "size": size,
        "columns": COLUMNS[set_name],
        "n_identities": n_identities,
        "n_typefaces": len(entries),
        "typefaces": entries,
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
    if set_name not in COLUMNS:
        raise UsageError(f"--set: expected desk or full, found {set_name}.")
    if size not in SIZES:
        raise UsageError(f"--size: expected {SIZES.start} to {SIZES.stop - 1} pixels, found {size}.")
    faces = pick_typefaces(names, set_name)
    _check_destination(out)
    if download:
        download_packages(sorted({face.package for face in faces}), fonts)
    if not fonts.is_dir():
        raise BctError(f"--fonts {fonts} is not a folder; expected one with .deb packages or unpacked trees.")
    identities = level_one() + (level_two() if set_name == "full" else [])
    characters = [kanji.character for kanji in identities]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-building-", dir=out.parent) as scratch:
        # All fonts are located before any is drawn, so a missing package shows at once.
        (packages := Path(scratch) / "packages").mkdir()
        found = [find_font(face, fonts, packages) for face in faces]
        (folder := Path(scratch) / "glyphs").mkdir()
        entries, drawn, start = [], [], time.monotonic()
        for i, (face, font) in enumerate(zip(faces, found, strict=True)):
            levels, present = render_typeface(font.path, face.index, characters, sample_kanji(), size)
            write_sheet(folder / f"{face.name}.png", levels, COLUMNS[set_name])
            missing = "".join(np.array(characters)[~present])
            entries.append({"name": face.name, "sheet": f"{face.name}.png", "missing": missing})
            drawn.append(int(present.sum()))
            left = (time.monotonic() - start) / (i + 1) * (len(faces) - i - 1)
            echo(f"{i + 1}/{len(faces)} {face.name}: {drawn[-1]} of {len(characters)} kanji, about {left:.0f} s left")
        _write_identities(folder / IDENTITIES, identities)
        _write_attribution(folder / ATTRIBUTION, faces, found, drawn)
        _write_licences(folder / LICENSES, faces, found)
        _write_manifest(folder, set_name, size, len(identities), entries)
        # After the manifest, so that a better wording is not another version of the data.
        text = readme(set_name, size, COLUMNS[set_name], len(identities), faces)
        (folder / "README.md").write_text(text, encoding="utf-8")
        _replace(folder, out)
    total = sum(path.stat().st_size for path in out.iterdir())
    echo(f"{out}: {len(faces)} typefaces x {len(characters)} kanji at {size} x {size} px, {total / 1e6:.1f} MB")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.glyphs.build", description=__doc__.split("\n")[0])
    parser.add_argument("--fonts", type=Path, required=True, help="folder of .deb packages or unpacked trees")
    parser.add_argument("--out", type=Path, help="folder to write (default: glyphs or glyphs-full in the data folder)")
    parser.add_argument("--set", default="desk", dest="set_name", metavar="desk|full", help="which kanji and typefaces")
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
