"""Unit rows, prefixes and blocks: what every measure on embeddings starts from.

All embedding-level measures score a pair by its cosine, in float32. A row of zeros has no direction and scores 0
against everything.
"""

from collections.abc import Iterator

import numpy as np

from bctlib.metrics import checks

BLOCK_ELEMENTS = 1 << 23
"""Scores held at a time (32 MiB of float32); the memory of every blockwise measure is a small multiple of it."""


def unit_rows(features: np.ndarray, name: str = "features", rows: slice | np.ndarray = slice(None)) -> np.ndarray:
    """`features[rows]` [n, d], each row divided by its Euclidean norm, as a float32 copy; rows of zeros stay zeros.

    rows: a slice or row numbers. Raises ValueError that names `name` and the row where a value is not finite.
    """
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
    features = checks.feature_matrix("features", features)
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
