"""Exact operating points: the threshold at which at most a given share of the negatives is accepted.

A score is accepted when it lies strictly above the threshold. `strict`, the default rule, takes the lowest threshold
whose false-accept rate is at most the target: the threshold is itself the score of the best negative that must be
refused, so that a positive tied with it is refused too (ties count against us). `nearest` takes the corner of the ROC
curve whose rate is nearest to the target, as common face scripts do; it may exceed the target.
"""

from dataclasses import dataclass

import numpy as np

from bctlib.metrics import checks

RULES = ("strict", "nearest")


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One accuracy with all that stands behind it.

    value: share of positives accepted (TAR or TPIR), 0 to 1.
    target, attained: the false-accept rate asked for and the one reached (FAR or FPIR).
    threshold: scores strictly above it are accepted; -inf when everything is.
    n_false: negatives accepted. n_negatives: impostor pairs, or non-mated searches. n_positives: likewise.
    """

    value: float
    target: float
    attained: float
    threshold: float
    n_false: int
    n_negatives: int
    n_positives: int


def allowed(target: float, n: int) -> int:
    """The largest k with k / n <= target, as floating-point division has it (so that 1e-4 of 10,000 is 1)."""
    k = int(target * n)
    while k + 1 <= n and (k + 1) / n <= target:
        k += 1
    while k / n > target:
        k -= 1
    return k


def largest(values: np.ndarray, k: int) -> np.ndarray:
    """The `k` largest of `values` in descending order; a partition, then a sort of the tail only."""
    k = min(k, len(values))
    if 0 < k < len(values):
        values = np.partition(values, len(values) - k)[len(values) - k :]
    return np.sort(values)[::-1][:k]


def thresholds(
    negatives: np.ndarray,
    targets: np.ndarray,
    n_negatives: int | None = None,
    rule: str = "strict",
    name: str = "impostor",
) -> list[tuple[float, int]]:
    """(threshold, number of negatives strictly above it) for each of `targets`.

    negatives: scores [m], all of them or, when `n_negatives` > m, the m largest of `n_negatives`.
    Raises ValueError when the negatives that were kept do not reach down to the threshold.
    """
    if rule not in RULES:
        raise ValueError(f"rule: expected one of {', '.join(RULES)}, got {rule!r}")
    n = len(negatives) if n_negatives is None else int(n_negatives)
    if n < len(negatives) or n == 0:
        raise ValueError(f"{name}: {len(negatives)} scores were given for {n} negatives in all")
    ranks = [allowed(float(target), n) for target in targets]
    reach = max((k + 1 for k in ranks if k < n), default=0)
    if reach > len(negatives):
        raise ValueError(
            f"{name}: a rate of {max(targets):g} needs the {reach} largest of {n} scores, {len(negatives)} are given"
        )
    tail = largest(negatives, reach)
    points = []
    for target, k in zip(targets, ranks, strict=True):
        if k >= n:
            points.append((-np.inf, n))
            continue
        threshold = tail[k]
        n_false = int(np.searchsorted(-tail, -threshold, side="left"))
        if rule == "nearest":
            n_next = int(np.count_nonzero(negatives >= threshold))
            below = negatives[negatives < threshold]
            if len(below) == 0 and n > len(negatives):
                raise ValueError(f"{name}: the nearest rule needs a score below {threshold:g}, none is kept")
            if n_next / n - target <= target - n_false / n:
                threshold, n_false = (below.max() if len(below) else -np.inf), n_next
        points.append((float(threshold), n_false))
    return points


def operating_points(
    positives: np.ndarray,
    negatives: np.ndarray,
    targets,
    n_negatives: int | None = None,
    rule: str = "strict",
    n_positives: int | None = None,
    target_name: str = "targets",
    negatives_name: str = "impostor",
) -> list[OperatingPoint]:
    """An OperatingPoint for each of `targets`; `n_positives` when positives that can never count were left out."""
    targets, _ = checks.rates(target_name, targets)
    n = len(negatives) if n_negatives is None else int(n_negatives)
    total = len(positives) if n_positives is None else n_positives
    points = []
    cuts = thresholds(negatives, targets, n_negatives, rule, negatives_name)
    for target, (threshold, n_false) in zip(targets, cuts, strict=True):
        # np.float64, not float: a Python float would be rounded to float32 before the comparison.
        hits = int(np.count_nonzero(positives > np.float64(threshold)))
        points.append(OperatingPoint(hits / total, float(target), n_false / n, threshold, n_false, n, total))
    return points
