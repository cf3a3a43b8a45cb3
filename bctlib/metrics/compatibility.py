"""Whether a new model is compatible with the old one, and how much the update gains: Eqs. 1, 2 and 9 of the paper."""

from typing import NamedTuple

import numpy as np

from bctlib.metrics import blocks
from bctlib.metrics.blocks import matching_pairs, row_blocks, unit_rows


class StrictCriterion(NamedTuple):
    """Shares of the constraints of Eq. 1 that are kept (NaN where there is no such pair), and their numbers."""

    different_kept: float
    same_kept: float
    n_different: int
    n_same: int


def is_compatible(new_old: float, old_old: float) -> bool:
    """Eq. 2: M(new, old) > M(old, old), strictly. Any measure where more is better, any unit."""
    return blocks.number("new_old", new_old) > blocks.number("old_old", old_old)


def absolute_gain(new_old: float, old_old: float) -> float:
    """M(new, old) - M(old, old), in the unit of its arguments; the paper prints it only where Eq. 2 holds."""
    return blocks.number("new_old", new_old) - blocks.number("old_old", old_old)


def update_gain(new_old: float, old_old: float, paragon: float) -> float:
    """Eq. 9 as a fraction (the paper prints per cent): (M(new, old) - M(old, old)) / (paragon - M(old, old)).

    paragon: M(new*, new*), the accuracy with everything backfilled. NaN where the gain is undefined: Eq. 2 fails, or
    the paragon does not beat the old model. `update_gain(80.25, 77.86, 86.96)` is 0.2626.
    """
    paragon = blocks.number("paragon", paragon)
    if not is_compatible(new_old, old_old) or not paragon > old_old:
        return float("nan")
    return absolute_gain(new_old, old_old) / (paragon - old_old)


def strict_criterion(new, old, identity) -> StrictCriterion:
    """Eq. 1: share of the constraints kept, over all ordered pairs of different images, computed blockwise.

    new, old: embeddings [n, d] of the same n images by the two models (a wider new one: its `prefix`).
    identity: labels [n]. For images i, j of different identities d(new_i, old_j) >= d(old_i, old_j) must hold, for
    i != j of the same identity d(new_i, old_j) <= d(old_i, old_j). d falls as the cosine rises, so any distance
    between unit vectors gives the same shares. new = old keeps everything. Raises ValueError on NaN, shapes, labels.
    """
    new, old = blocks.feature_matrix("new", new), blocks.feature_matrix("old", old)
    blocks.same_width("new", new, "old", old)
    if len(new) != len(old):
        raise ValueError(f"new, old: expected features of the same images, got {len(new)} and {len(old)} rows")
    codes = np.unique(blocks.labels("identity", identity, len(new), "new"), return_inverse=True)[1].reshape(-1)
    rows, columns = matching_pairs(codes, codes)
    right = unit_rows(old, "old")
    n_same, n_different = len(rows) - len(new), len(new) ** 2 - len(rows)
    kept_same = kept_different = 0
    for block in row_blocks(len(new), len(new)):
        # One product of the difference instead of the difference of two products: half the work, no cancellation.
        change = (unit_rows(new, "new", block) - right[block]) @ right.T
        here = slice(*np.searchsorted(rows, [block.start, block.stop]))
        own = rows[here] == columns[here]
        same = change[rows[here] - block.start, columns[here]]
        kept_same += int(np.count_nonzero(same[~own] >= 0))
        kept_different += int(np.count_nonzero(change <= 0)) - int(np.count_nonzero(same <= 0))
    return StrictCriterion(
        kept_different / n_different if n_different else float("nan"),
        kept_same / n_same if n_same else float("nan"),
        n_different,
        n_same,
    )
