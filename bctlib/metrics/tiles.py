"""Galleries in tiles, so that neither a copy of the gallery nor a row of its scores is ever held whole.

Rows of a gallery are sorted by identity before, and no tile splits an identity: all mates of a probe lie in one tile,
its home. With the home tile first, the mates' scores are known before anything is counted against them, and no product
is computed twice.
"""

from collections.abc import Iterator

import numpy as np

from bctlib.metrics import features


def tile_edges(codes: np.ndarray) -> list[int]:
    """Borders of tiles over sorted `codes` [n], about the square root of a block wide, where the code changes."""
    step = max(1, int(features.BLOCK_ELEMENTS**0.5) * 2)
    edges = [0]
    while edges[-1] < len(codes):
        end = min(edges[-1] + step, len(codes))
        edges.append(int(np.searchsorted(codes, codes[end - 1], side="right")))
    return edges


def home_blocks(low: np.ndarray, edges: list[int]) -> Iterator[tuple[np.ndarray, list[int]]]:
    """(row numbers of a block of probes, all tiles with the block's home first), blocks sized for the widest tile.

    low [q]: where each probe's mates begin in the sorted gallery (anywhere for a probe without mates).
    """
    n_tiles = len(edges) - 1
    home = np.clip(np.searchsorted(edges, low, side="right") - 1, 0, max(0, n_tiles - 1))
    widest = max((b - a for a, b in zip(edges, edges[1:], strict=False)), default=1)
    order = np.argsort(home, kind="stable")
    homes, starts = np.unique(home[order], return_index=True)
    for first, group in zip(homes.tolist(), np.split(order, starts[1:]), strict=True):
        for block in features.row_blocks(len(group), widest):
            yield group[block], [first, *(tile for tile in range(n_tiles) if tile != first)][:n_tiles]


class UnitTiles:
    """Unit rows of one tile of a gallery at a time, transposed; the last one is kept."""

    def __init__(self, gallery: np.ndarray, name: str, order: np.ndarray, edges: list[int]):
        self.gallery, self.name, self.order, self.edges = gallery, name, order, edges
        self.in_order = np.array_equal(order, np.arange(len(gallery)))
        self.kept: tuple[int, np.ndarray] | None = None

    def __getitem__(self, tile: int) -> np.ndarray:
        if self.kept is None or self.kept[0] != tile:
            self.kept = None  # freed before the next is made
            span = slice(self.edges[tile], self.edges[tile + 1])
            self.kept = tile, features.unit_rows(self.gallery, self.name, span if self.in_order else self.order[span]).T
        return self.kept[1]
