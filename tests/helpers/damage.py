"""Damage done to files by tests."""

from collections.abc import Callable
from pathlib import Path


def flip(position: float) -> Callable[[Path], None]:
    """Damage that flips one bit at that share of a file's length."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(position * (len(content) - 1))] ^= 4
        path.write_bytes(content)

    return damage
