"""The bootstrap over identities: weights of classes, and accuracies under many weights at once.

A resample draws as many classes as there are, with replacement, so that the images of a class stay together. Classes
of mated queries, classes of non-mated queries and classes that are only enrolled are drawn separately. All pairs of
models share the resamples, which makes differences paired. An interval is the middle 95 % of the replicates.
"""

from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 1000
BLOCK = 1 << 21


class Interval(NamedTuple):
    """A value and the borders of its 95 % interval."""

    value: float
    low: float
    high: float


def interval(value: float, replicates: np.ndarray) -> Interval:
    """The percentile interval of replicates [b] around a value measured on all data."""
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def draw_weights(strata: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each class is drawn in each resample, uint8 [c, b].

    strata: int [c]; classes are drawn within their stratum.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((len(strata), resamples), np.uint8)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n = len(members)
        for start in range(0, resamples, step := max(1, BLOCK // n)):
            here = min(step, resamples - start)
            drawn = rng.integers(n, size=(here, n)) + n * np.arange(here)[:, None]
            weights[members, start : start + here] = (
                np.bincount(drawn.reshape(-1), minlength=here * n).reshape(here, n).T
            )
    return weights


def weighted_mean(weights: np.ndarray, classes: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Mean of outcomes [q] of queries of those classes [q] in each resample, float64 [b]."""
    n = len(weights)
    sums = np.bincount(classes, outcomes, minlength=n), np.bincount(classes, minlength=n)
    # Convert the weights to floating point in blocks: there may be many classes.
    total = np.zeros((2, weights.shape[1]))
    for start in range(0, n, step := max(1, BLOCK // weights.shape[1])):
        part = weights[start : start + step].astype(np.float64)
        total += [each[start : start + step] @ part for each in sums]
    return total[0] / total[1]


def thresholds(
    weights: np.ndarray,
    scores: np.ndarray,
    first: np.ndarray,
    second: np.ndarray | None,
    times: np.ndarray | None,
    totals: np.ndarray,
    rates: list[float],
    whole: bool,
) -> np.ndarray:
    """The strict rule's threshold in each resample for each rate, float64 [len(rates), b].

    scores [k]: of negatives, falling; first [k]: their class; second [k]: of pairs the other class too, whose weight
    then multiplies. times [k]: how many negatives each stands for. totals [b]: weight of all negatives. At most
    rate * total lies strictly above the threshold. whole: whether `scores` are all negatives; otherwise a resample
    that would go below the lowest of them stays there.
    """
    limits = np.asarray(rates)[:, None] * totals * (1 + 1e-12)
    place = np.zeros(limits.shape, np.int64)
    carry = np.zeros(weights.shape[1])
    for start in range(0, len(scores), step := max(1, BLOCK // weights.shape[1])):
        here = slice(start, start + step)
        part = weights[first[here]].astype(np.float64)
        if second is not None:
            part *= weights[second[here]]
        if times is not None:
            part *= times[here, None]
        part[0] += carry
        np.cumsum(part, axis=0, out=part)
        carry = part[-1]
        unfinished = limits >= part[0]
        for rate in np.flatnonzero(unfinished.any(axis=1)):
            place[rate] += np.count_nonzero(part <= limits[rate], axis=0)
        if not unfinished.any():
            break
    below = -np.inf if whole else scores[-1]
    return np.append(scores.astype(np.float64), below)[place]


def weighted_share_above(
    weights: np.ndarray, classes: np.ndarray, scores: np.ndarray, counts: np.ndarray, cuts: np.ndarray
) -> np.ndarray:
    """Share of positives strictly above each resample's own threshold, float64 [b].

    classes, scores [p]: of positives that can count; counts [c]: all positives of each class; cuts [b].
    """
    n, shares = len(weights), np.empty(len(cuts))
    falling = np.argsort(-scores, kind="stable")
    scores, classes = scores[falling].astype(np.float64), classes[falling]
    for start in range(0, len(cuts), step := max(1, BLOCK // n)):
        here = slice(start, start + step)
        levels, of_cut = np.unique(-cuts[here], return_inverse=True)  # rising, as are the negated scores
        # The first level that a positive counts at, if any; then, level after level, what counts there.
        first = np.searchsorted(levels, -scores, side="right")
        counted = np.bincount(first * n + classes, minlength=(len(levels) + 1) * n)[: len(levels) * n]
        above = np.cumsum(counted.reshape(len(levels), n), axis=0)
        part = weights[:, here].astype(np.float64)
        shares[here] = np.einsum("cb,bc->b", part, above[of_cut]) / (counts @ part)
    return shares
