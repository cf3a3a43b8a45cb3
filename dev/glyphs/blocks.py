"""The identities, block by block: each block of a script is a run of identities with sheets of its own.

`level-1` and `level-2` are the kanji of JIS X 0208, from Python's own codec, in the standard's order; `hangul` is every
Hangul syllable of Unicode, in its order.
"""

from dataclasses import dataclass
from math import ceil, sqrt

_LEVEL_ONE_ROWS = range(16, 48)
_LEVEL_TWO_ROWS = range(48, 85)
_SAMPLE_STEP = 25
_HANGUL = range(0xAC00, 0xD7A4)
_HANGUL_SAMPLE_STEP = 97  # prime, so that the sample has every initial, vowel and final


@dataclass(frozen=True)
class Identity:
    """One character; `row_cell` is its place in JIS X 0208 (row and cell count from 1, `16-1`), or empty."""

    character: str
    row_cell: str

    @property
    def code_point(self) -> str:
        """Unicode code point as `U+4E9C`."""
        return f"U+{ord(self.character):04X}"


@dataclass(frozen=True)
class Block:
    """Identities that share a sheet; `sample` is the fixed list of characters that sets a typeface's drawing size."""

    name: str
    identities: tuple[Identity, ...]
    sample: tuple[str, ...]

    @property
    def characters(self) -> list[str]:
        return [identity.character for identity in self.identities]


def columns_of(n_identities: int) -> int:
    """Columns of a sheet's grid: about as many as rows, so that it is square and opens well in a viewer."""
    return ceil(sqrt(n_identities))


def _rows(rows: range) -> tuple[Identity, ...]:
    found = []
    for row in rows:
        for cell in range(1, 95):
            try:
                character = bytes([0xA0 + row, 0xA0 + cell]).decode("euc_jp")
            except UnicodeDecodeError:  # the last row of each level is not full
                continue
            found.append(Identity(character, f"{row}-{cell}"))
    return tuple(found)


def _blocks() -> tuple[Block, ...]:
    one = _rows(_LEVEL_ONE_ROWS)
    # Both levels are drawn at one size, so that a kanji's level does not show in its picture.
    sample = tuple(identity.character for identity in one[::_SAMPLE_STEP])
    syllables = tuple(Identity(chr(code), "") for code in _HANGUL)
    return (
        Block("level-1", one, sample),
        Block("level-2", _rows(_LEVEL_TWO_ROWS), sample),
        Block("hangul", syllables, tuple(identity.character for identity in syllables[::_HANGUL_SAMPLE_STEP])),
    )


BLOCKS = {block.name: block for block in _blocks()}
FIRST = BLOCKS["level-1"]
"""The block whose sheets are named by the typeface alone."""

SETS = {"desk": ("level-1", "level-2"), "full": ("level-1", "level-2", "hangul")}
"""Of each set the names of its blocks, in the order of its identities."""


def blocks_of(set_name: str) -> list[Block]:
    """The blocks of a set of SETS."""
    return [BLOCKS[name] for name in SETS[set_name]]
