"""1:1 scores of all pairs of a query and a gallery image, with who is on the pairs that decide the operating points.

All genuine scores are kept, and of the impostors those in the tail that the operating points can reach: with their
classes, so that identities can be drawn again. A tail of more than `KEPT` pairs between two neighbouring operating
points is thinned there, without regard to score, and each pair that is kept stands for several; accuracies themselves
are always taken from the whole tail.
"""

from dataclasses import dataclass

import numpy as np

from bctlib.upgrade.evaluate.comparisons import Comparison
from bctlib.upgrade.report.inputs import Inputs
from bctlib.metrics.blocks import matching_pairs, row_blocks, unit_rows
from bctlib.metrics.operating_points import allowed, largest
from bctlib.metrics.verification import verification_scores

REACH = 2.0
"""The tail holds so many times the impostors that the largest FAR lets in, for resamples that reach further."""
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
        row, column = np.nonzero(scores >= lowest[-1])
        score, row = scores[row, column], row + block.start
        stratum = np.searchsorted(-lowest, -score, side="left")
        # A fixed scramble of the pair's number, so that what is kept depends on neither blocks nor scores.
        number = (row.astype(np.uint64) * np.uint64(len(enrolled)) + column.astype(np.uint64)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        kept = (wanted[row] != enrolled[column]) & ((number >> np.uint64(32)) % thinned[stratum].astype(np.uint64) == 0)
        parts.append((score[kept], wanted[row[kept]], enrolled[column[kept]], stratum[kept]))
    score, query, gallery, stratum = (np.concatenate(each) for each in zip(*parts, strict=True))
    times = sizes[stratum] / np.bincount(stratum, minlength=len(sizes))[stratum]
    order = np.argsort(-score, kind="stable")
    return score[order], query[order], gallery[order], times[order]
