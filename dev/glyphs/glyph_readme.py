"""The README of a glyph folder."""

from dev.glyphs.typefaces import Typeface

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
97 % of level 1, greedily the one whose design is farthest from those already taken. The distance of two typefaces is
one minus the mean correlation of their slightly blurred pictures of the same kanji, over every 25th kanji of level 1;
the first is the most ordinary one. No model and no result had a say. `python -m dev.glyphs.choose_typefaces` runs the
rule.

How a glyph is drawn: one size a typeface, at which the 90th percentile of its glyphs' extents is 82 % of the cell;
centred by its ink's bounding box; four times supersampled; 16 levels of grey (the lightest and darkest fifteenth of
the scale count as paper and ink).

To rebuild, with the package versions in `typefaces.csv` (another version may give other pictures):

    python -m dev.glyphs.build --fonts DIR --download --set {set_name} --size {size}
"""


def readme(set_name: str, size: int, columns: int, n_identities: int, faces: list[Typeface]) -> str:
    """Text of `README.md` for a glyph folder of `n_identities` kanji in these typefaces."""
    levels = "level 1" if set_name == "desk" else "levels 1 and 2"
    return _TEXT.format(
        set_name=set_name, size=size, columns=columns, n_identities=n_identities, n_faces=len(faces), levels=levels
    )
