"""1:N identification, open set: TPIR@FPIR and rank-k, from search results or from embeddings."""

from dataclasses import dataclass

import numpy as np

from bctlib.metrics import blocks
from bctlib.metrics.blocks import Scores, Sorted, ranges, tiled_scores
from bctlib.metrics.verification import OperatingPoint, common_codes_of, operating_points


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The results of q probes in one gallery.

    best: float32 [q], highest score over the whole gallery. mated: bool [q], whether the gallery holds the probe's
    identity. mate: float32 [q], highest score of the gallery rows of the probe's identity, -inf without one.
    rank: int64 [q], 1 + number of gallery rows of other identities that score at least as high as the mate (ties
    count against the mate), 0 without a mate.
    """

    best: np.ndarray
    mated: np.ndarray
    mate: np.ndarray
    rank: np.ndarray

    @property
    def mate_score(self) -> np.ndarray:
        """Scores of the mates, mated searches only."""
        return self.mate[self.mated]

    @property
    def mate_rank(self) -> np.ndarray:
        """Ranks of the mates, mated searches only."""
        return self.rank[self.mated]

    @property
    def nonmated_best(self) -> np.ndarray:
        """Best scores of the searches without a mate in the gallery."""
        return self.best[~self.mated]


def tpir_at_fpir(mate_score, mate_rank, nonmated_best, fpir, rule: str = "strict"):
    """True positive identification rate at a false positive identification rate, of one gallery (Sec. 3.1).

    mate_score, mate_rank: score and rank of the mate in each mated search [m]. nonmated_best: the best score of each
    search without a mate [n]. fpir: a rate from 0 to 1, or a list. A mated search counts when its mate is at rank 1
    and above the threshold; the threshold lets at most `fpir` of the non-mated searches return a candidate (rule
    "strict", ties against us; "nearest" as in bctlib.metrics.verification).
    Returns a float for one rate, float64 [len(fpir)] for a list. Raises ValueError on empty, NaN or unequal arrays.
    The paper prints this quantity as TNIR.
    """
    points = identification_points(mate_score, mate_rank, nonmated_best, fpir, rule)
    return points[0].value if np.ndim(fpir) == 0 else np.array([point.value for point in points])


def identification_points(mate_score, mate_rank, nonmated_best, fpir, rule: str = "strict") -> list[OperatingPoint]:
    """As `tpir_at_fpir`, with threshold, attained FPIR, number of false positives and of non-mated searches."""
    mate_score = blocks.scores("mate_score", mate_score)
    mate_rank = _ranks(mate_rank)
    if mate_rank.shape != mate_score.shape:
        raise ValueError(f"mate_rank: expected {len(mate_score)} ranks, one for each mate_score, got {len(mate_rank)}")
    nonmated_best = blocks.scores("nonmated_best", nonmated_best)
    return operating_points(
        mate_score[mate_rank == 1],
        nonmated_best,
        fpir,
        rule=rule,
        n_positives=len(mate_score),
        target_name="fpir",
        negatives_name="nonmated_best",
    )


def rank_k(mate_rank, k):
    """Share of mated searches whose mate is among the first `k` (an integer, or a list of them).

    mate_rank: ranks from 1 [m]. For several galleries concatenate their ranks (`rank_k_over_galleries`).
    """
    mate_rank = _ranks(mate_rank)
    ks = np.atleast_1d(np.asarray(k))
    if ks.dtype.kind not in "iu" or (ks < 1).any():
        raise ValueError(f"k: expected integers from 1 on, got {k}")
    shares = np.array([np.count_nonzero(mate_rank <= each) / len(mate_rank) for each in ks])
    return float(shares[0]) if np.ndim(k) == 0 else shares


def tpir_over_galleries(results: list[SearchResult], fpir, rule: str = "strict"):
    """Mean over galleries of the TPIR at each gallery's own threshold, as IJB-C does; shapes as in `tpir_at_fpir`.

    (A common script pools the galleries under one threshold, which gives a different number.)
    """
    values = [tpir_at_fpir(each.mate_score, each.mate_rank, each.nonmated_best, fpir, rule) for each in results]
    return float(np.mean(values)) if np.ndim(fpir) == 0 else np.mean(values, axis=0)


def rank_k_over_galleries(results: list[SearchResult], k):
    """`rank_k` of all mated searches of all galleries together."""
    return rank_k(np.concatenate([each.mate_rank for each in results]), k)


def search(probes, probe_identity, gallery, gallery_identity) -> SearchResult:
    """Search every probe in one gallery by cosine; memory does not grow with the gallery or the number of pairs.

    probes [q, d], gallery [n, d]: embeddings, in Sec. 3.3 by the new and by the old model. probe_identity [q],
    gallery_identity [n]: integer or string labels; a probe without its identity in the gallery is a non-mated
    search (in IJB-C: the probes of the other gallery). Several gallery rows may share an identity; the best is the
    mate. Raises ValueError on NaN, or on shapes and labels that do not match.
    """
    probes, gallery = blocks.feature_matrix("probes", probes), blocks.feature_matrix("gallery", gallery)
    blocks.same_width("probes", probes, "gallery", gallery)
    probe_codes, gallery_codes = common_codes_of("probe", probes, probe_identity, "gallery", gallery, gallery_identity)
    if len(probes) == 0 or len(gallery) == 0:
        raise ValueError(f"probes, gallery: expected rows in both, got {len(probes)} and {len(gallery)}")
    order = np.argsort(gallery_codes, kind="stable")
    codes = gallery_codes[order]
    mates = Sorted(
        order, codes, np.searchsorted(codes, probe_codes, "left"), np.searchsorted(codes, probe_codes, "right")
    )
    n = len(probes)
    result = SearchResult(
        np.full(n, -np.inf, np.float32), mates.high > mates.low, np.full(n, -np.inf, np.float32), np.ones(n, np.int64)
    )
    for part in tiled_scores(probes, "probes", gallery, "gallery", mates):
        if part.is_home:
            at_row, at_column = ranges(part.own_low, part.own_high)
            np.maximum.at(result.mate, part.rows[at_row], part.scores[at_row, at_column])
        else:
            _count_others(part, result)
    result.best[:] = np.maximum(result.best, result.mate)
    result.rank[~result.mated] = 0
    return result


def _count_others(part: Scores, result: SearchResult) -> None:
    """Update best score and rank with the gallery rows of other identities in one tile."""
    part.scores[ranges(part.own_low, part.own_high)] = -np.inf
    others = part.scores.max(axis=1)
    mates = result.mate[part.rows]
    ahead = np.flatnonzero(result.mated[part.rows] & (others >= mates))
    if len(ahead):
        result.rank[part.rows[ahead]] += [np.count_nonzero(part.scores[row] >= mates[row]) for row in ahead]
    result.best[part.rows] = np.maximum(result.best[part.rows], others)


def _ranks(mate_rank) -> np.ndarray:
    mate_rank = np.asarray(mate_rank)
    if mate_rank.ndim != 1 or mate_rank.size == 0 or mate_rank.dtype.kind not in "iu" or (mate_rank < 1).any():
        raise ValueError("mate_rank: expected a non-empty one-dimensional array of integers from 1 on")
    return mate_rank
