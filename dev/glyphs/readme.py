"""The README.md of a glyph folder."""

from dev.glyphs.blocks import blocks_of, columns_of
from dev.glyphs.fonts import Typeface

_TEXT = """# Glyph identities ({set_name} set)

{n_identities:,} characters ({scripts}) drawn in {n_faces} free typefaces of Debian. A
character is an identity, its picture in one typeface is an image of it.

| block | identities | typefaces | sheets | glyphs a row |
|---|---|---|---|---|
{blocks}

- One sprite sheet per typeface and block, 4-bit grey, {size} x {size} px a glyph, in the order of `identities.tsv`. A
  character that the typeface lacks, or draws exactly like another one of this or of an earlier block, is left blank;
  `manifest.json` lists those.
- `identities.tsv`: index, character, code point, row and cell in JIS X 0208 (of kanji), block.
- `typefaces.csv`: style, Debian package and version, font file, its licence and sha256, number of glyphs drawn.
- `LICENSES.txt`: the copyright file of each package. All fonts are free and may be redistributed; the sheets are
  pictures drawn with them and hold no font program. Where a text points to Debian's common licences, the GNU General
  Public License is at <https://www.gnu.org/licenses/> and the Apache License at <https://www.apache.org/licenses/>.
- `manifest.json`: size, counts, and sha256 and length of the files above; verified whenever the data are loaded.

How the typefaces of the desk set were chosen: among the candidates of `dev/glyphs/typefaces.csv` that draw at least
97 % of level 1, greedily the one whose design is farthest from those already chosen. The distance of two typefaces is
one minus the mean correlation of their slightly blurred pictures of the same kanji, over every 25th kanji of level 1;
the first is the most ordinary one. Level 2 is drawn in the first of these that draw at least 97 % of level 2, as many
as fit into 26 MB. No model and no result was used. `python -m dev.glyphs.choose_typefaces` runs the rule.

How a glyph is drawn: one size a typeface, at which the 90th percentile of its glyphs' extents is 82 % of the cell
(over every 25th kanji of level 1; of Hangul over every 97th syllable); centred by its ink's bounding box; four times
supersampled; 16 levels of grey (the lightest and darkest fifteenth of the scale count as paper and ink).

To rebuild, with the package versions in `typefaces.csv` (another version may give other pictures):

    python -m dev.glyphs.build --fonts DIR --download --set {set_name} --size {size}
"""


_SCRIPTS = {"desk": "kanji of JIS X 0208", "full": "kanji of JIS X 0208 and Hangul syllables of Unicode"}


def readme(set_name: str, size: int, faces: list[Typeface]) -> str:
    """The README.md of the glyph folder of a set in these typefaces."""
    rows, blocks = [], blocks_of(set_name)
    for i, block in enumerate(blocks):
        n, n_faces = len(block.identities), sum(block in face.blocks(set_name) for face in faces)
        sheet = f"NAME{f'-{block.name}' if i else ''}.png"
        rows.append(f"| {block.name} | {n:,} | {n_faces} | `{sheet}` | {columns_of(n)} |")
    return _TEXT.format(
        set_name=set_name,
        scripts=_SCRIPTS[set_name],
        size=size,
        n_identities=sum(len(block.identities) for block in blocks),
        n_faces=len(faces),
        blocks="\n".join(rows),
    )
