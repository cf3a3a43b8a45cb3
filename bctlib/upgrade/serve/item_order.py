"""In which order to backfill the items of an index, and how good an order is, as one number.

The paper backfills at random (Appendix B, Fig. 3). Not in the paper: an operator knows the old vectors, and often how
often each item is searched.
"""

import numpy as np

from bctlib.metrics.backfill import BackfillSearches, tpir_along
from bctlib.metrics.blocks import matching_pairs, prefix, row_blocks, unit_rows


def nearest_stranger(vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The highest cosine of each row [n, d] with a row of another class, float32 [n]; -inf where there is none.

    classes: int [n]. Blockwise. Raises ValueError that names the row of a value that is not finite.
    """
    unit = unit_rows(vectors, "vectors")
    rows, columns = matching_pairs(classes, classes)
    highest = np.empty(len(unit), np.float32)
    for block in row_blocks(len(unit), len(unit)):
        scores = unit[block] @ unit.T
        own = slice(*np.searchsorted(rows, [block.start, block.stop]))
        scores[rows[own] - block.start, columns[own]] = -np.inf
        highest[block] = scores.max(axis=1)
    return highest


def item_order(vectors: np.ndarray, classes: np.ndarray, searches: np.ndarray | None = None) -> np.ndarray:
    """Row numbers in the order of backfill, int64 [n]: the most searched first, and among equals the least certain.

    vectors [n, d]: of the old model. An item is the less certain the nearer a stranger is. searches: int [n], how often
    each item is searched; None: all equally often. Rows that are equal in both keep their order.
    """
    certain = -nearest_stranger(vectors, classes)
    keys = (certain,) if searches is None else (certain, -np.asarray(searches, np.int64))
    return np.lexsort(keys)


def item_searches(
    query: np.ndarray,
    query_class: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
    classes: np.ndarray,
    order: np.ndarray,
    points: int = 21,
) -> BackfillSearches:
    """The searches of new queries [q, d_new] at `points` equal steps of a backfill item by item.

    old [n, d_old], new [n, d_new]: vectors of the items by both models, d_old <= d_new (the query's first dimensions
    are used on old ones, Sec. 3.6). query_class [q], classes [n]: int. order: int [n], row numbers.
    """
    cuts = np.round(np.linspace(0, 1, points) * len(order)).astype(np.int64)
    mates = np.full((2, points + 1, len(query)), -np.inf, np.float32)  # by new and by old vectors, between the cuts
    others = mates.copy()
    queries = query, prefix(query, old.shape[1])
    for segment, (start, stop) in enumerate(zip(cuts, cuts[1:], strict=False), 1):
        held = order[start:stop]
        rows, columns = matching_pairs(query_class, classes[held])
        for which, (probes, gallery) in enumerate(zip(queries, (new, old), strict=True)):
            right = unit_rows(gallery, ("new_index", "index")[which], held).T
            for block in row_blocks(len(query), len(held)) if len(held) else ():
                scores = unit_rows(probes, "query_features", block) @ right
                here = slice(*np.searchsorted(rows, [block.start, block.stop]))
                at = rows[here] - block.start, columns[here]
                best = mates[which, segment, block]
                np.maximum.at(best, at[0], scores[at])
                scores[at] = -np.inf
                others[which, segment, block] = scores.max(axis=1)
    for each in (mates, others):  # before point p lie segments 0 to p, behind it the others
        np.maximum.accumulate(each[0], axis=0, out=each[0])
        each[1, :-1] = np.maximum.accumulate(each[1, :0:-1], axis=0)[::-1]
    mate_new, mate_old, other_new, other_old = mates[0, :-1], mates[1, :-1], others[0, :-1], others[1, :-1]
    return BackfillSearches(
        cuts / len(order), np.isin(query_class, classes), np.maximum(mate_new, mate_old).T,
        (mate_new > mate_old).T, other_new.T, other_old.T,
    )  # fmt: skip


def accuracy_along(searches: BackfillSearches, fpir: float | None) -> np.ndarray:
    """Rank 1 at each point, or TPIR at `fpir`; float64 [p]."""
    if fpir is not None:
        return tpir_along(searches, fpir)
    return (searches.mate > searches.best_other)[searches.mated].mean(axis=0)


def area_under(share: np.ndarray, accuracy: np.ndarray) -> float:
    """The mean accuracy on the way from no backfill to a full one, by trapezoids: 0 to 1."""
    return float(np.trapezoid(accuracy, share))
