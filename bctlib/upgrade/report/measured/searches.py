"""The searches of all queries and the scores of all pairs, blockwise.

A search gives the best mate, the best gallery image of another class, and the ranks of all mates.

Of the 1:1 scores, all genuine ones are kept, and the impostors in the tail that the operating points can reach,
with their classes, so that identities can be resampled. Where more than `KEPT` pairs lie between two neighbouring
operating points, that part of the tail is thinned independently of the score, and each kept pair stands for several;
the accuracies themselves always use the whole tail.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bctlib.metrics.blocks import Scores, Sorted, matching_pairs, ranges, row_blocks, tiled_scores, unit_rows
from bctlib.metrics.identification import SearchResult
from bctlib.metrics.retrieval import PositiveRanks, RankCounter, average_precisions
from bctlib.metrics.verification import allowed, largest, verification_scores
from bctlib.upgrade.evaluate.comparisons import Comparison
from bctlib.upgrade.report.inputs import Inputs


@dataclass(frozen=True)
class Searches:
    """The searches of q queries, blockwise and exact; a query's own image is no candidate.

    mate, other: float32 [q], highest score of a gallery image of the query's class and of another one (-inf where
    there is none). mate_row, other_row: int64 [q], which gallery row that is, the first of equals (-1: none).
    positives: ranks of all mates of each query; ties count against the mate.
    """

    mate: np.ndarray
    mate_row: np.ndarray
    other: np.ndarray
    other_row: np.ndarray
    positives: PositiveRanks

    @cached_property
    def mated(self) -> np.ndarray:
        """Whether the query has a mate in the gallery, bool [q]."""
        return np.diff(self.positives.starts) > 0

    @cached_property
    def rank(self) -> np.ndarray:
        """Rank of the best mate, int64 [q], from 1; 0 without a mate."""
        rank = np.zeros(len(self.mated), np.int64)
        rank[self.mated] = self.positives.ranks[self.positives.starts[:-1][self.mated]]
        return rank

    @cached_property
    def average_precision(self) -> np.ndarray:
        """float64 [q], by steps; NaN without a mate."""
        precision = np.full(len(self.mated), np.nan)
        precision[self.mated] = average_precisions(self.positives)
        return precision

    @property
    def reciprocal_rank(self) -> np.ndarray:
        """1 / rank of the best mate, float64 [q]; NaN without a mate."""
        return np.where(self.mated, 1 / np.maximum(self.rank, 1), np.nan)

    @property
    def top_row(self) -> np.ndarray:
        """Gallery row at rank 1, int64 [q]."""
        return np.where(self.mate > self.other, self.mate_row, self.other_row)

    def result(self) -> SearchResult:
        """The form that `bctlib.metrics.identification` expects."""
        return SearchResult(np.maximum(self.mate, self.other), self.mated, self.mate, self.rank)


def search_gallery(comparison: Comparison, inputs: Inputs) -> Searches:
    """Every query of a comparison (of one width) against its gallery, in tiles of scores."""
    query, gallery = comparison.query, comparison.gallery
    wanted, enrolled = inputs.query_class, inputs.gallery_class
    order = np.argsort(enrolled, kind="stable")
    codes = enrolled[order]
    low, high = np.searchsorted(codes, wanted, "left"), np.searchsorted(codes, wanted, "right")
    at_itself = np.argsort(order)[inputs.itself] if inputs.one_list else None
    itself = inputs.itself if inputs.one_list else np.full(len(wanted), -1)  # a query's own image is no mate
    counter = RankCounter([np.flatnonzero(order[a:b] != own) for a, b, own in zip(low, high, itself, strict=True)])
    mates, others = _nothing(len(query)), _nothing(len(query))
    for part in tiled_scores(query, "query_features", gallery, "gallery_features", Sorted(order, codes, low, high)):
        counter.add(part)  # before anything is masked
        if part.is_home:
            if at_itself is not None:
                own = np.flatnonzero(part.own_high > part.own_low)
                part.scores[own, at_itself[part.rows[own]] - part.start] = -np.inf
            _take_mates(mates, part, order)
        else:
            part.scores[ranges(part.own_low, part.own_high)] = -np.inf
            column = part.scores.argmax(axis=1)
            _update_max(others, part.rows, part.scores[np.arange(len(column)), column], order[part.start + column])
    return Searches(*mates, *others, counter.ranks())


def _nothing(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(n, -np.inf, np.float32), np.full(n, -1, np.int64)


def _take_mates(best: tuple[np.ndarray, np.ndarray], part: Scores, order: np.ndarray) -> None:
    """The best mate of each row; a row's mates lie in one tile, its home."""
    owners, column = ranges(part.own_low, part.own_high)
    if len(owners) == 0:
        return
    scores = part.scores[owners, column]
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    highest = np.maximum.reduceat(scores, first)
    is_best = np.flatnonzero(scores == np.repeat(highest, np.diff(first, append=len(owners))))
    chosen = is_best[np.flatnonzero(np.diff(owners[is_best], prepend=-1))]
    _update_max(best, part.rows[owners[first]], highest, order[part.start + column[chosen]])


def _update_max(best: tuple[np.ndarray, np.ndarray], rows: np.ndarray, scores: np.ndarray, found: np.ndarray) -> None:
    higher = scores > best[0][rows]
    best[0][rows[higher]], best[1][rows[higher]] = scores[higher], found[higher]


REACH = 2.0
"""The tail holds this many times the impostors accepted at the largest FAR, for resamples that reach further."""
KEPT = 1 << 15


@dataclass(frozen=True)
class PairScores:
    """genuine: float32 [g]; genuine_class: int64 [g]. impostor: float32, the largest of n_impostors, in no order.

    tail: float32 [t], falling; tail_query, tail_gallery: int64 [t], the classes of these pairs; tail_times: float64
    [t], how many impostor pairs each stands for.
    """

    genuine: np.ndarray
    genuine_class: np.ndarray
    impostor: np.ndarray
    n_impostors: int
    tail: np.ndarray
    tail_query: np.ndarray
    tail_gallery: np.ndarray
    tail_times: np.ndarray


def score_pairs(comparison: Comparison, inputs: Inputs, fars: list[float]) -> PairScores:
    """All pairs of a comparison (of one width), an image with itself excepted, blockwise."""
    wanted, enrolled = inputs.query_class, inputs.gallery_class
    keep = min(1.0, REACH * max(fars))
    scores = verification_scores(comparison.query, wanted, comparison.gallery, enrolled, keep)
    rows, columns = matching_pairs(wanted, enrolled)
    valid = rows != columns if inputs.one_list else slice(None)
    edges = _strata(scores.impostor, scores.n_impostors, [*fars, keep])
    return PairScores(
        scores.genuine[valid], wanted[rows[valid]], scores.impostor, scores.n_impostors,
        *_tail(comparison, wanted, enrolled, edges),
    )  # fmt: skip


def _strata(impostor: np.ndarray, n: int, rates: list[float]) -> list[tuple[float, int]]:
    """(lowest score, number of pairs) between one operating point and the next, from the highest scores down."""
    counts = sorted({min(allowed(rate, n) + 1, len(impostor)) for rate in rates})
    falling = largest(impostor, counts[-1])
    edges, above = [], 0
    for count in counts:
        lowest = falling[count - 1]
        reached = int(np.searchsorted(-falling, -lowest, side="right"))
        if reached > above:
            edges.append((float(lowest), reached - above))
        above = reached
    return edges


def _tail(
    comparison: Comparison, wanted: np.ndarray, enrolled: np.ndarray, strata: list[tuple[float, int]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    lowest = np.array([score for score, _ in strata], np.float32)  # falling
    sizes = np.array([size for _, size in strata])
    thinned = -(-sizes // KEPT)
    right = unit_rows(comparison.gallery, "gallery_features").T
    parts = []
    for block in row_blocks(len(comparison.query), len(enrolled)):
        scores = unit_rows(comparison.query, "query_features", block) @ right
        scores = scores.reshape(-1)
        place = np.flatnonzero(scores >= lowest[-1])  # several times as fast as np.nonzero of the matrix
        score, (row, column) = scores[place], np.divmod(place, len(enrolled))
        row += block.start
        stratum = np.searchsorted(-lowest, -score, side="left")
        # A fixed hash of the pair's number, so that the kept pairs depend on neither blocks nor scores.
        number = (row.astype(np.uint64) * np.uint64(len(enrolled)) + column.astype(np.uint64)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        kept = (wanted[row] != enrolled[column]) & ((number >> np.uint64(32)) % thinned[stratum].astype(np.uint64) == 0)
        parts.append((score[kept], wanted[row[kept]], enrolled[column[kept]], stratum[kept]))
    score, query, gallery, stratum = (np.concatenate(each) for each in zip(*parts, strict=True))
    times = sizes[stratum] / np.bincount(stratum, minlength=len(sizes))[stratum]
    order = np.argsort(-score, kind="stable")
    return score[order], query[order], gallery[order], times[order]
