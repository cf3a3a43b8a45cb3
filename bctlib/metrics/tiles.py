"""Probes against a gallery in tiles, so that neither a copy of the gallery nor a row of its scores is ever held whole.

Rows of the gallery are sorted by identity before, and no tile splits an identity: all mates of a probe lie in one tile,
its home. A first pass, over home tiles only, gives the scores of the mates; a second, over all tiles, whatever is to be
counted against them. Both take whole products of the same tiles, as equal vectors must get equal scores for ties to be
seen; with a single tile the two passes share one product. Work is linear in the gallery and in the probes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bctlib.metrics import blocks as features


class Sorted(NamedTuple):
    """A gallery's rows in the order of their identities, and where in it each probe's mates are.

    order: row numbers [n]. codes: their identities, ascending [n]. low, high [q]: the mates of probe i are
    order[low[i]:high[i]].
    """

    order: np.ndarray
    codes: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Scores(NamedTuple):
    """Scores of some probes against one tile: scores float32 [len(rows), tile], which the receiver may overwrite.

    rows: probe numbers. is_home: whether this is the first pass. own_low, own_high [len(rows)]: the columns of each
    probe's mates in this tile (an empty range where there is none). start: place of the tile's first column in the
    sorted gallery.
    """

    scores: np.ndarray
    rows: np.ndarray
    is_home: bool
    own_low: np.ndarray
    own_high: np.ndarray
    start: int


def tile_edges(codes: np.ndarray, d: int) -> list[int]:
    """Borders of tiles over sorted `codes` [n] of `d` dimensions, half a block each, where the code changes."""
    step = max(1, features.BLOCK_ELEMENTS // 2 // d)
    edges = [0]
    while edges[-1] < len(codes):
        end = min(edges[-1] + step, len(codes))
        edges.append(int(np.searchsorted(codes, codes[end - 1], side="right")))
    return edges


def tile_of(gallery: np.ndarray, name: str, order: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Unit rows of order[start:stop] of the gallery, float32 [stop - start, d]."""
    rows = order[start:stop]
    # A run of neighbours is a slice, which is read without an index.
    in_order = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all()
    return features.unit_rows(gallery, name, slice(rows[0], rows[-1] + 1) if in_order else rows)


def tiled_scores(
    probes: np.ndarray, probes_name: str, gallery: np.ndarray, gallery_name: str, mates: Sorted
) -> Iterator[Scores]:
    """Both passes of `probes` [q, d] over `gallery` [n, d]; a probe with mates is home once before it is counted."""
    edges = tile_edges(mates.codes, gallery.shape[1])
    n_tiles = len(edges) - 1

    def scored(tile: int, unit: np.ndarray, rows: np.ndarray, passes: tuple[bool, ...]) -> Iterator[Scores]:
        start, stop = edges[tile], edges[tile + 1]
        for block in features.row_blocks(len(rows), stop - start):
            here = rows[block]
            scores = features.unit_rows(probes, probes_name, here) @ unit.T
            own = (np.clip(each[here] - start, 0, stop - start) for each in (mates.low, mates.high))
            low, high = own
            for is_home in passes:
                yield Scores(scores, here, is_home, low, high, start)

    everybody = np.arange(len(probes))
    if n_tiles > 1:
        mated = np.flatnonzero(mates.high > mates.low)
        home = np.searchsorted(edges, mates.low[mated], side="right") - 1
        by_home = np.argsort(home, kind="stable")
        homes, firsts = np.unique(home[by_home], return_index=True)
        for tile, group in zip(homes.tolist(), np.split(mated[by_home], firsts[1:]), strict=False):
            unit = tile_of(gallery, gallery_name, mates.order, edges[tile], edges[tile + 1])
            yield from scored(tile, unit, group, (True,))
    for tile in range(n_tiles):
        unit = tile_of(gallery, gallery_name, mates.order, edges[tile], edges[tile + 1])
        yield from scored(tile, unit, everybody, (True, False) if n_tiles == 1 else (False,))
