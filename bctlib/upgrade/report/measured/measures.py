"""Accuracies at the operating points, each with its replicates under the bootstrap of identities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bctlib.metrics.verification import allowed
from bctlib.upgrade.evaluate.comparisons import FARS, FPIRS, RANKS, Comparison, identification_rows, verification_rows
from bctlib.upgrade.evaluate.result import FEW, Measurement
from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.resampling import draw_weights, thresholds, weighted_mean, weighted_share_above
from bctlib.upgrade.report.measured.searches import PairScores, Searches, score_pairs

RULE = "strict"
FEW_PAIRS = 100
"""An operating point needs at least this many impostor pairs, because an image occurs in many of them."""
FOUND, NON_MATED, ONLY_ENROLLED = range(3)


@dataclass(frozen=True)
class Points:
    """Operating points that the data can carry. fpir is empty for a closed set, far where impostors are few.

    deciding: quantities (protocol, metric, point, "") that decide the verdict; the others are only shown.
    """

    fpir: list[float]
    ranks: list[int]
    far: list[float]
    deciding: frozenset[tuple]
    notes: list[str]


@dataclass(frozen=True)
class Measured:
    """One pair of models: accuracies [m] and, in the same order, their replicates float64 [m, b]."""

    rows: list[Measurement]
    replicates: np.ndarray


def choose_points(
    inputs: Inputs, far: Sequence[float] | None, fpir: Sequence[float] | None, ranks: Sequence[int] | None
) -> Points:
    """The requested points; by default those of the paper that at least FEW searches or FEW_PAIRS pairs decide.

    With non-mated searches TPIR decides, without them (or with too few) rank 1 and mAP; TAR always decides, and so do
    requested points. A requested FPIR without non-mated searches is left out and noted.
    """
    n_nonmated, notes, chosen = int(np.count_nonzero(~inputs.mated)), [], {}
    if n_nonmated == 0:
        notes.append("every query has a mate in the gallery: TPIR@FPIR is undefined, rank and mAP decide")
    for name, asked, usual, n, few, what in (
        ("FPIR", fpir, FPIRS, n_nonmated, FEW, "non-mated searches"),
        ("FAR", far, FARS, inputs.n_impostors, FEW_PAIRS, "impostor pairs"),
    ):
        kept = (
            [rate for rate in usual if n and allowed(rate, n) >= few] if asked is None else list(dict.fromkeys(asked))
        )
        chosen[name] = kept if n else []
        if n and asked is None and len(kept) < len(usual):
            left = ", ".join(f"{rate:g}" for rate in usual if rate not in kept)
            notes.append(f"{n:,} {what} are too few for {name} {left}: fewer than {few} of them would decide")
    decides = [("1:N", "TPIR", rate, "") for rate in chosen["FPIR"]]
    decides += [("1:1", "TAR", rate, "") for rate in chosen["FAR"]]
    shown = list(dict.fromkeys(RANKS if ranks is None else ranks))
    decides += [("1:N", "rank", k, "") for k in shown if ranks is not None or (k == 1 and not chosen["FPIR"])]
    if not chosen["FPIR"] and ranks is None:
        decides.append(("1:N", "mAP", None, ""))
    return Points(chosen["FPIR"], shown, chosen["FAR"], frozenset(decides), notes)


def draw_identities(inputs: Inputs, resamples: int, seed: int) -> np.ndarray:
    """Weights of classes, uint8 [c, b]; see `bctlib.upgrade.report.measured.resampling`."""
    strata = np.where(inputs.query_counts > 0, NON_MATED, ONLY_ENROLLED)
    strata[inputs.query_class[inputs.mated]] = FOUND
    return draw_weights(strata, resamples, seed)


def measure(
    comparison: Comparison, searches: Searches, inputs: Inputs, points: Points, weights: np.ndarray
) -> Measured:
    """All measures of one comparison (of one width).

    1:N: queries are resampled by identity, with a new threshold in each resample; the gallery is fixed. 1:1:
    identities are resampled on both sides of a pair, with a new threshold too.
    """
    models = comparison.models
    rows = identification_rows(models, {"": searches.result()}, points.fpir, points.ranks, RULE)
    precision = searches.average_precision[searches.mated]
    rows.append(Measurement(*models, "1:N", "mAP", None, "", float(precision.mean()), len(precision)))
    replicates = [*_open_set(searches, inputs, points, weights), *_closed_set(searches, inputs, points, weights)]
    if points.far:
        pairs = score_pairs(comparison, inputs, points.far)
        rows += verification_rows(models, pairs.genuine, pairs.impostor, points.far, RULE, pairs.n_impostors)
        replicates += _verification(pairs, inputs, points, weights)
    return Measured(rows, np.array(replicates))


def _open_set(searches: Searches, inputs: Inputs, points: Points, weights: np.ndarray) -> list[np.ndarray]:
    if not points.fpir:
        return []
    wanted, n = inputs.query_class, len(weights)
    vain = np.flatnonzero(~searches.mated)
    falling = vain[np.argsort(-searches.other[vain], kind="stable")]
    totals = _weighted_sum(weights, np.bincount(wanted[vain], minlength=n))
    cuts = thresholds(
        weights, searches.other[falling], wanted[falling], None, None, totals, points.fpir, whole=True
    )  # fmt: skip
    hit = searches.rank == 1
    counts = np.bincount(wanted[searches.mated], minlength=n)
    return [weighted_share_above(weights, wanted[hit], searches.mate[hit], counts, each) for each in cuts]


def _closed_set(searches: Searches, inputs: Inputs, points: Points, weights: np.ndarray) -> list[np.ndarray]:
    mated = searches.mated
    outcomes = [searches.rank[mated] <= k for k in points.ranks] + [searches.average_precision[mated]]
    return [weighted_mean(weights, inputs.query_class[mated], each) for each in outcomes]


def _verification(pairs: PairScores, inputs: Inputs, points: Points, weights: np.ndarray) -> list[np.ndarray]:
    queries, enrolled = inputs.query_counts, inputs.gallery_counts
    # All pairs minus those of one class; a class drawn twice is no impostor of itself.
    totals = _weighted_sum(weights, queries) * _weighted_sum(weights, enrolled)
    totals -= _weighted_sum(weights, queries * enrolled, squared=True)
    cuts = thresholds(
        weights, pairs.tail, pairs.tail_query, pairs.tail_gallery, pairs.tail_times, totals, points.far,
        whole=len(pairs.impostor) == pairs.n_impostors,
    )  # fmt: skip
    counts = np.bincount(pairs.genuine_class, minlength=len(weights))
    return [weighted_share_above(weights, pairs.genuine_class, pairs.genuine, counts, each) for each in cuts]


def _weighted_sum(weights: np.ndarray, values: np.ndarray, squared: bool = False) -> np.ndarray:
    """Sum over classes of weight (or its square) times value, float64 [b]."""
    total = np.zeros(weights.shape[1])
    for start in range(0, len(weights), 4096):
        part = weights[start : start + 4096].astype(np.float64)
        total += values[start : start + 4096] @ (part**2 if squared else part)
    return total
