"""How much of what an exact index finds another one finds too."""

import numpy as np


def recall(found: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """(recall@1, recall@k): share of queries with the same first item, and of the exact items that were found.

    Both int64 [q, k], items in order of their scores, -1 where there is none.
    """
    there = exact >= 0
    both = (found[:, :, None] == exact[:, None, :]).any(axis=1) & there
    return float(np.mean(found[:, 0] == exact[:, 0])), float(both.sum() / there.sum())
