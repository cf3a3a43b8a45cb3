"""Scores of an explicit list of pairs, as in IJB-C's 15.7 million of them.

Pairs share rows, so one matrix product over the rows and columns that occur, block by block, and a gather from it
beat a product per pair until fewer than about one in DENSITY of the rectangle's entries is asked for.
"""

import numpy as np

from bctlib.metrics import checks
from bctlib.metrics.blocks import row_blocks, unit_rows

DENSITY = 32


def pair_scores(first, first_rows, second, second_rows) -> np.ndarray:
    """Cosine of first[first_rows[i]] and second[second_rows[i]] for each pair i: float32 [p].

    first [a, d], second [b, d]: embeddings. first_rows, second_rows: integer row numbers [p].
    Memory beside the result: a block of scores, unit copies of the rows that occur, and a few integers a pair.
    Raises ValueError on NaN, on unequal widths or lengths, and on row numbers out of range.
    """
    first, second = checks.feature_matrix("first", first), checks.feature_matrix("second", second)
    checks.same_width("first", first, "second", second)
    first_rows = _row_numbers("first_rows", first_rows, len(first))
    second_rows = _row_numbers("second_rows", second_rows, len(second))
    if len(first_rows) != len(second_rows):
        raise ValueError(f"first_rows, second_rows: {len(first_rows)} and {len(second_rows)} row numbers for one list")
    result = np.empty(len(first_rows), np.float32)
    if len(first_rows) == 0:
        return result
    used_first, rows = _compact(first_rows, len(first))
    used_second, columns = _compact(second_rows, len(second))
    left = unit_rows(first, "first", used_first)
    right = unit_rows(second, "second", used_second)
    if len(rows) * DENSITY < len(left) * len(right):
        for block in row_blocks(len(rows), left.shape[1]):
            result[block] = np.einsum("ij,ij->i", left[rows[block]], right[columns[block]])
        return result
    blocks = list(row_blocks(len(left), len(right)))
    step = blocks[0].stop
    for block, pairs in zip(blocks, _pairs_by_block(rows, step, len(blocks)), strict=True):
        scores = left[block] @ right.T
        result[pairs] = scores[rows[pairs] - block.start, columns[pairs]]
    return result


def _pairs_by_block(rows: np.ndarray, step: int, n_blocks: int) -> list:
    """For each block of `step` rows the pairs in it: slices where the list is in order already, else pair numbers."""
    if (rows[1:] >= rows[:-1]).all():
        edges = np.searchsorted(rows, np.arange(n_blocks + 1) * step)
        return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
    block_of = rows // step
    if n_blocks <= 1 << 16:
        block_of = block_of.astype(np.uint16)  # NumPy sorts 16-bit integers in linear time
    order = np.argsort(block_of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(block_of, minlength=n_blocks))[:-1])


def _compact(rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct row numbers, ascending, and each of `rows` as a position among them (int32)."""
    seen = np.zeros(n, bool)
    seen[rows] = True
    position = np.cumsum(seen, dtype=np.int32) - 1
    return np.flatnonzero(seen), position[rows]


def _row_numbers(name: str, rows, n: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected a one-dimensional array of integers, got {rows.dtype} {rows.shape}")
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise ValueError(f"{name}: expected row numbers from 0 to {n - 1}, got {rows.min()} to {rows.max()}")
    return rows
