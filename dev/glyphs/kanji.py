"""The identities: the kanji of JIS X 0208, from Python's own codec."""

from dataclasses import dataclass

LEVEL_ONE_ROWS = range(16, 48)
LEVEL_TWO_ROWS = range(48, 85)


@dataclass(frozen=True)
class Kanji:
    """One kanji with its place in JIS X 0208 (row and cell count from 1)."""

    character: str
    row: int
    cell: int

    @property
    def code_point(self) -> str:
        """Unicode code point as `U+4E9C`."""
        return f"U+{ord(self.character):04X}"

    @property
    def level(self) -> int:
        """1 for the common kanji (rows 16 to 47), 2 for the rarer ones (rows 48 to 84)."""
        return 1 if self.row in LEVEL_ONE_ROWS else 2


def _rows(rows: range) -> list[Kanji]:
    found = []
    for row in rows:
        for cell in range(1, 95):
            try:
                character = bytes([0xA0 + row, 0xA0 + cell]).decode("euc_jp")
            except UnicodeDecodeError:  # the last row of each level is not full
                continue
            found.append(Kanji(character, row, cell))
    return found


def level_one() -> list[Kanji]:
    """The 2,965 kanji of level 1, in the standard's order."""
    return _rows(LEVEL_ONE_ROWS)


def level_two() -> list[Kanji]:
    """The 3,390 kanji of level 2, in the standard's order."""
    return _rows(LEVEL_TWO_ROWS)
