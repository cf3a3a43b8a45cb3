"""What all measures on embeddings share: validation, unit rows, prefixes, and products in tiles.

All embedding-level measures score a pair by its cosine, in float32. A row of zeros has no direction and scores 0
against everything. Bad input raises ValueError with one sentence that names the argument.

Probes are compared with a gallery in tiles, so that neither a copy of the gallery nor a full row of scores is held.
Gallery rows are sorted by identity, and no tile splits an identity: all mates of a probe are in one tile, its home. A
first pass over home tiles gives the scores of the mates; a second pass over all tiles counts what is compared with
them. Both passes compute whole products of the same tiles, because equal vectors must get equal scores for ties to be
seen; with one tile they share one product. Work is linear in the gallery and in the probes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


def feature_matrix(name: str, features) -> np.ndarray:
    """`features` as a two-dimensional numeric array (not copied); finiteness is checked where rows are normalised."""
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"{name}: expected an array of shape [n, d] with d > 0, got shape {features.shape}")
    if features.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected real numbers, got dtype {features.dtype}")
    return features


def same_width(first_name: str, first: np.ndarray, second_name: str, second: np.ndarray) -> None:
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{first_name} has {first.shape[1]} dimensions and {second_name} {second.shape[1]}: "
            "shorten the wider one with bctlib.metrics.blocks.prefix first"
        )


def labels(name: str, values, n: int, of: str) -> np.ndarray:
    """`values` as a one-dimensional array of `n` labels, integers or strings."""
    values = np.asarray(values)
    if values.shape != (n,):
        raise ValueError(f"{name}: expected {n} labels, one for each row of {of}, got shape {values.shape}")
    if values.dtype.kind not in "iuUSO":
        raise ValueError(f"{name}: expected integer or string labels, got dtype {values.dtype}")
    return values


def common_codes(first: np.ndarray, second: np.ndarray, names: str) -> tuple[np.ndarray, np.ndarray]:
    """Both label arrays as integers from one numbering."""
    if (first.dtype.kind in "iu") != (second.dtype.kind in "iu"):
        raise ValueError(f"{names}: one holds integers and the other does not, so no label could ever agree")
    if np.result_type(first, second).kind == "f":  # int64 and uint64: large ones would be rounded together
        first, second = first.astype(str), second.astype(str)
    codes = np.unique(np.concatenate([first, second]), return_inverse=True)[1].reshape(-1)
    return codes[: len(first)], codes[len(first) :]


def scores(name: str, values, allow_empty: bool = False) -> np.ndarray:
    """`values` as a one-dimensional float array without NaN (float32 and float64 are kept as they are)."""
    values = np.asarray(values)
    if values.ndim != 1 or (values.size == 0 and not allow_empty):
        raise ValueError(f"{name}: expected a non-empty one-dimensional array, got shape {values.shape}")
    if values.dtype not in (np.float32, np.float64):
        if values.dtype.kind not in "fiu":
            raise ValueError(f"{name}: expected real numbers, got dtype {values.dtype}")
        values = values.astype(np.float64)
    if np.isnan(values).any():
        raise ValueError(f"{name}: holds NaN at position {int(np.flatnonzero(np.isnan(values))[0])}")
    return values


def rates(name: str, values) -> tuple[np.ndarray, bool]:
    """Target rates as a float64 array, and whether a single number was given."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name}: expected one rate or a list of rates, got shape {array.shape}")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name}: expected rates between 0 and 1, got {values}")
    return np.atleast_1d(array), array.ndim == 0


def number(name: str, value) -> float:
    value = float(value)
    if not np.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    return value


BLOCK_ELEMENTS = 1 << 23
"""Scores held at a time (32 MiB of float32); the memory of every blockwise measure is a small multiple of it."""


def unit_rows(features: np.ndarray, name: str = "features", rows: slice | np.ndarray = slice(None)) -> np.ndarray:
    """`features[rows]` [n, d], each row divided by its Euclidean norm, as a float32 copy; rows of zeros stay zeros.

    rows: a slice or row numbers. Raises ValueError that names `name` and the row where a value is not finite.
    """
    with np.errstate(over="ignore"):  # found below, and said as an error
        chosen = np.array(features[rows], dtype=np.float32, order="C")
    norms = np.sqrt(np.einsum("ij,ij->i", chosen, chosen))
    if not np.isfinite(norms).all():
        bad = np.arange(len(features))[rows][~np.isfinite(norms)][0]
        raise ValueError(f"{name}: row {bad} holds NaN, infinite or overflowing values")
    norms[norms == 0] = 1
    chosen /= norms[:, None]
    return chosen


def prefix(features: np.ndarray, d: int) -> np.ndarray:
    """The first `d` elements of each row of `features` [n, d_new], re-normalised: float32 [n, d].

    The paper's way (Sec. 3.6) to compare a wider new embedding with an old one of `d` dimensions.
    Raises ValueError if `d` is not between 1 and d_new.
    """
    features = feature_matrix("features", features)
    if not 1 <= d <= features.shape[1]:
        raise ValueError(f"d: expected between 1 and {features.shape[1]}, the width of features, got {d}")
    return unit_rows(features[:, :d])


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices over `n_rows` so that slice x `n_columns` is at most BLOCK_ELEMENTS (at least 16 rows a slice)."""
    step = max(16, BLOCK_ELEMENTS // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def ranges(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ranges low[i]:high[i] written out: for each element its i and its number, ordered by i."""
    counts = high - low
    owner = np.repeat(np.arange(len(low)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, np.repeat(low, counts) + within


def matching_pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All (row, column) with first[row] == second[column], ordered by row: two int64 arrays."""
    order = np.argsort(second, kind="stable")
    low, high = np.searchsorted(second[order], first, "left"), np.searchsorted(second[order], first, "right")
    rows, places = ranges(low, high)
    return rows, order[places]


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
    step = max(1, BLOCK_ELEMENTS // 2 // d)
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
    return unit_rows(gallery, name, slice(rows[0], rows[-1] + 1) if in_order else rows)


def tiled_scores(
    probes: np.ndarray, probes_name: str, gallery: np.ndarray, gallery_name: str, mates: Sorted
) -> Iterator[Scores]:
    """Both passes of `probes` [q, d] over `gallery` [n, d]; a probe with mates is home once before it is counted."""
    edges = tile_edges(mates.codes, gallery.shape[1])
    n_tiles = len(edges) - 1

    def scored(tile: int, unit: np.ndarray, rows: np.ndarray, passes: tuple[bool, ...]) -> Iterator[Scores]:
        start, stop = edges[tile], edges[tile + 1]
        for block in row_blocks(len(rows), stop - start):
            here = rows[block]
            scores = unit_rows(probes, probes_name, here) @ unit.T
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
