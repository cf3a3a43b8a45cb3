"""Retrieval and re-identification: mean average precision and CMC from the ranks of the positives.

No ranking is sorted in full: the rank of a query's i-th best positive is i + the number of negatives that score at
least as high, so counting is enough. Ties between a positive and a negative count against the positive.
"""

from dataclasses import dataclass

import numpy as np

from bctlib.metrics import blocks
from bctlib.metrics.blocks import Scores, Sorted, tiled_scores
from bctlib.metrics.verification import common_codes_of

INTERPOLATIONS = ("step", "trapezoid")
COUNT_UP_TO = 48
"""Positives up to which a comparison with all negatives for each is quicker than sorting the negatives."""


@dataclass(frozen=True, slots=True)
class PositiveRanks:
    """Ranks of the positives, query after query.

    ranks: int64 [p], 1-based, ascending within a query. starts: int64 [q + 1]; the ranks of query i are
    ranks[starts[i]:starts[i + 1]]. A query without positives is not valid and counts in no measure.
    """

    ranks: np.ndarray
    starts: np.ndarray


def mean_average_precision(ranks, interpolation: str = "step") -> float:
    """Mean over valid queries of `average_precisions`, with its arguments and errors."""
    return float(np.mean(average_precisions(ranks, interpolation)))


def average_precisions(ranks, interpolation: str = "step") -> np.ndarray:
    """Average precision of each valid query, in the order of the queries, float64 [valid].

    ranks: a PositiveRanks, or a list with the 1-based ranks of the positives of each query.
    interpolation: "step" averages the precision at each positive (scikit-learn, torchreid); "trapezoid" averages
    the precisions at and just before it, as the official Market-1501 code does (0.5 to 1 point lower).
    Raises ValueError without a valid query. Relevance 1 0 1 0 0 1 has 0.7222 by step and 0.6778 by trapezoid.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation: expected one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    ranks = _positive_ranks(ranks)
    counts = np.diff(ranks.starts)
    found = np.arange(1, len(ranks.ranks) + 1) - np.repeat(ranks.starts[:-1], counts)
    precision = found / ranks.ranks
    if interpolation == "trapezoid":
        before = np.ones_like(precision)
        np.divide(found - 1, ranks.ranks - 1, out=before, where=ranks.ranks > 1)
        precision = (precision + before) / 2
    valid = counts > 0
    return np.add.reduceat(precision, ranks.starts[:-1][valid]) / counts[valid]


def cmc(ranks, k):
    """Cumulative match characteristic: share of valid queries whose best positive is among the first `k`.

    ranks: as for `mean_average_precision`. k: an integer from 1 on (returns a float), or a list (float64 array).
    """
    ranks = _positive_ranks(ranks)
    ks = np.atleast_1d(np.asarray(k))
    if ks.dtype.kind not in "iu" or (ks < 1).any():
        raise ValueError(f"k: expected integers from 1 on, got {k}")
    first = ranks.ranks[ranks.starts[:-1][np.diff(ranks.starts) > 0]]
    shares = np.array([np.count_nonzero(first <= each) / len(first) for each in ks])
    return float(shares[0]) if np.ndim(k) == 0 else shares


def rank_gallery(
    query, query_identity, gallery, gallery_identity, query_camera=None, gallery_camera=None, junk=-1
) -> PositiveRanks:
    """Ranks of the positives of each query by cosine, blockwise in queries and gallery.

    query [q, d], gallery [n, d]: embeddings. query_identity [q], gallery_identity [n]: labels; gallery rows labelled
    `junk` (Market-1501: -1) are ignored, distractors (0) stay as negatives because no query has their label.
    query_camera [q], gallery_camera [n]: labels, both or neither; gallery rows of the query's identity and camera
    are ignored. Raises ValueError on NaN, or on shapes and labels that do not fit.
    """
    query, gallery = blocks.feature_matrix("query", query), blocks.feature_matrix("gallery", gallery)
    blocks.same_width("query", query, "gallery", gallery)
    if (query_camera is None) != (gallery_camera is None):
        raise ValueError("query_camera, gallery_camera: expected both or neither")
    query_codes, gallery_codes = common_codes_of("query", query, query_identity, "gallery", gallery, gallery_identity)
    if query_camera is None:
        cameras = np.zeros(len(query), np.int64), np.ones(len(gallery), np.int64)
    else:
        cameras = blocks.common_codes(
            blocks.labels("query_camera", query_camera, len(query), "query"),
            blocks.labels("gallery_camera", gallery_camera, len(gallery), "gallery"),
            "query_camera, gallery_camera",
        )
    # Sorted by identity, the gallery rows of a query's identity are one slice of its row of scores.
    order = np.argsort(gallery_codes, kind="stable")
    order = order[np.asarray(gallery_identity)[order] != junk]
    codes, camera = gallery_codes[order], cameras[1][order]
    low, high = np.searchsorted(codes, query_codes, "left"), np.searchsorted(codes, query_codes, "right")
    # Of each query's identity, the gallery rows that are not ignored; their scores; what scores at least as high.
    good = [np.flatnonzero(camera[a:b] != own) for a, b, own in zip(low, high, cameras[0], strict=True)]
    counter = RankCounter(good)
    for part in tiled_scores(query, "query", gallery, "gallery", Sorted(order, codes, low, high)):
        counter.add(part)
    return counter.ranks()


class RankCounter:
    """Ranks of the positives from the parts of `tiled_scores`, for one measure among several of the same products.

    good: for each query, the rows of its identity that are positives, as int positions among all of its identity.
    """

    def __init__(self, good: list[np.ndarray]):
        self.good = good
        self.starts = np.concatenate([[0], np.cumsum([len(each) for each in good])]).astype(np.int64)
        self.positives, self.ahead = np.empty(self.starts[-1], np.float32), np.zeros(self.starts[-1], np.int64)

    def add(self, part: Scores) -> None:
        """Take the scores of a part; in the second pass those of a query's own identity become -inf."""
        for row, (number, *own) in enumerate(zip(part.rows, part.own_low, part.own_high, strict=True)):
            mine = slice(self.starts[number], self.starts[number + 1])
            if mine.stop == mine.start:
                continue
            if part.is_home:
                self.positives[mine] = np.sort(part.scores[row, slice(*own)][self.good[number]])
            else:
                part.scores[row, slice(*own)] = -np.inf
                self.ahead[mine] += _count_ahead(self.positives[mine], part.scores[row])

    def ranks(self) -> PositiveRanks:
        """The ranks, when all parts were added."""
        return PositiveRanks(_ranks_of(self.ahead, self.starts), self.starts)


def ranks_from_scores(scores, relevant, ignored=None) -> PositiveRanks:
    """Ranks of the positives from a score matrix: scores, relevant, ignored (or None) all [q, n]; higher is better."""
    scores, relevant = np.asarray(scores), np.asarray(relevant, dtype=bool)
    ignored = np.zeros_like(relevant) if ignored is None else np.asarray(ignored, dtype=bool)
    if scores.ndim != 2 or scores.shape != relevant.shape or scores.shape != ignored.shape:
        raise ValueError(f"scores, relevant, ignored: shapes {scores.shape}, {relevant.shape}, {ignored.shape} differ")
    if np.isnan(scores).any():
        raise ValueError(f"scores: row {int(np.argwhere(np.isnan(scores))[0, 0])} holds NaN")
    ranks = []
    for row, positive, skipped in zip(scores, relevant, ignored, strict=True):
        ranks.append(_ranks(row[positive & ~skipped], row[~positive & ~skipped]))
    return _collect(ranks)


def _ranks(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """1-based ranks of `positives`, ascending."""
    ahead = _count_ahead(np.sort(positives), negatives)
    return ahead[::-1] + np.arange(1, len(positives) + 1)


def _count_ahead(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """For each of `positives`, ascending, how many negatives score at least as high (-inf never does)."""
    if len(positives) == 0:
        return np.empty(0, np.int64)
    # Only negatives above the worst positive matter, few for a good model.
    above = negatives[negatives >= positives[0]]
    if len(positives) <= COUNT_UP_TO and len(above) > COUNT_UP_TO * len(positives):
        counts = [np.count_nonzero(above >= each) for each in positives[1:]]
        return np.array([len(above), *counts], np.int64)
    return len(above) - np.searchsorted(np.sort(above), positives, side="left")


def _ranks_of(ahead: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Ranks, ascending within a query, from the counts of negatives ahead of its positives, worst positive first."""
    counts = np.diff(starts)
    last = np.repeat(starts[1:] - 1, counts)
    within = np.arange(len(ahead)) - np.repeat(starts[:-1], counts)
    return ahead[last - within] + within + 1


def _collect(ranks: list[np.ndarray]) -> PositiveRanks:
    starts = np.concatenate([[0], np.cumsum([len(each) for each in ranks])]).astype(np.int64)
    return PositiveRanks(np.concatenate([np.empty(0, np.int64), *ranks]), starts)


def _positive_ranks(ranks) -> PositiveRanks:
    if not isinstance(ranks, PositiveRanks):
        arrays = [np.sort(np.asarray(each, dtype=np.int64).reshape(-1)) for each in ranks]
        if any(len(each) and (each[0] < 1 or (np.diff(each) == 0).any()) for each in arrays):
            raise ValueError("ranks: expected for each query distinct 1-based ranks")
        ranks = _collect(arrays)
    if len(ranks.ranks) == 0:
        raise ValueError("ranks: no query has a positive, so nothing can be measured")
    return ranks
