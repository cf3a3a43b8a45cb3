"""1:1 verification: TAR@FAR, exact, from scores, from embeddings or from a list of pairs.

A score is accepted if it is strictly above the threshold. `strict`, the default rule, takes the lowest threshold whose
false-accept rate is at most the target. That threshold is the score of the best rejected negative, so a positive tied
with it is rejected too (ties count against the model). `nearest` takes the corner of the ROC curve whose rate is
nearest to the target, as common face scripts do; it may exceed the target.

Lists of pairs, such as the 15.7 million of IJB-C, share rows. A matrix product over these rows, block by block, and a
gather are faster than a product for each pair unless fewer than about one in DENSITY of the entries is needed.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bctlib.metrics import blocks as checks
from bctlib.metrics.blocks import matching_pairs, row_blocks, unit_rows

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


SPARE = 64
"""Impostor scores kept beyond those that the highest FAR needs, so that the `nearest` rule finds the next corner."""


class VerificationScores(NamedTuple):
    """genuine: float32 [g], ordered by row. impostor: float32, the largest, in no order. n_impostors: of all."""

    genuine: np.ndarray
    impostor: np.ndarray
    n_impostors: int


def tar_at_far(genuine, impostor, far, n_impostors: int | None = None, rule: str = "strict"):
    """True accept rate at a false accept rate (Sec. 3.1): the largest TAR whose FAR is at most `far`.

    genuine, impostor: scores [g], [m] (higher = more alike). far: a rate from 0 to 1, or a list of them.
    n_impostors: the number of impostor pairs in all when `impostor` holds only the largest scores.
    rule: "strict" (ties count against us) or "nearest" (see bctlib.metrics.verification).
    Returns a float for one rate, float64 [len(far)] for a list. Raises ValueError on empty or NaN scores, rates
    outside 0..1, or too few kept impostors.
    """
    points = verification_points(genuine, impostor, far, n_impostors, rule)
    return points[0].value if np.ndim(far) == 0 else np.array([point.value for point in points])


def verification_points(
    genuine, impostor, far, n_impostors: int | None = None, rule: str = "strict"
) -> list[OperatingPoint]:
    """As `tar_at_far`, with threshold, attained FAR, number of false accepts and of impostors for each rate."""
    genuine = checks.scores("genuine", genuine)
    impostor = checks.scores("impostor", impostor)
    return operating_points(genuine, impostor, far, n_impostors, rule, target_name="far")


def verification_scores(
    first, first_identity, second, second_identity, keep: float | None = 0.01
) -> VerificationScores:
    """Cosines of all pairs (row of `first`, row of `second`), blockwise; the full matrix is never held.

    first [a, d], second [b, d]: embeddings; by Sec. 3.3 the new model's first and the old model's second.
    first_identity [a], second_identity [b]: integer or string labels; equal labels make a genuine pair.
    keep: the highest FAR that will be asked of the result; only the impostor scores needed for it are kept
    (None keeps all). Raises ValueError on NaN, on shapes or labels that do not fit, and without genuine or
    impostor pairs.
    """
    first, second = checks.feature_matrix("first", first), checks.feature_matrix("second", second)
    checks.same_width("first", first, "second", second)
    codes = common_codes_of("first", first, first_identity, "second", second, second_identity)
    rows, columns = matching_pairs(*codes)
    n_impostors = len(first) * len(second) - len(rows)
    if len(rows) == 0 or n_impostors == 0:
        raise ValueError(f"first_identity, second_identity: {len(rows)} genuine and {n_impostors} impostor pairs")
    if keep is None:
        n_kept = n_impostors
    else:
        checks.rates("keep", keep)
        n_kept = min(n_impostors, allowed(float(keep), n_impostors) + 1 + SPARE)
    right = unit_rows(second, "second").T
    genuine = np.empty(len(rows), np.float32)
    tail = Tail(n_kept)
    for block in row_blocks(len(first), len(second)):
        scores = unit_rows(first, "first", block) @ right
        here = slice(*np.searchsorted(rows, [block.start, block.stop]))
        at = (rows[here] - block.start, columns[here])
        genuine[here] = scores[at]
        scores[at] = -np.inf
        tail.add(scores.reshape(-1), len(at[0]))
    return VerificationScores(genuine, tail.scores(), n_impostors)


def common_codes_of(first_name, first, first_identity, second_name, second, second_identity):
    """Validated identity labels of two feature matrices as integers from one numbering."""
    return checks.common_codes(
        checks.labels(f"{first_name}_identity", first_identity, len(first), first_name),
        checks.labels(f"{second_name}_identity", second_identity, len(second), second_name),
        f"{first_name}_identity, {second_name}_identity",
    )


class Tail:
    """The `size` largest of a stream of scores, in memory proportional to `size` and not to the stream."""

    def __init__(self, size: int):
        self.size, self.cut, self.parts, self.held = size, -np.inf, [], 0

    def add(self, scores: np.ndarray, n_masked: int) -> None:
        """Adds scores, of which `n_masked` are -inf and no scores at all."""
        if self.cut > -np.inf:
            scores = scores[scores >= self.cut]
        elif n_masked and len(scores) - n_masked < self.size:
            scores = scores[scores > -np.inf]
        if len(scores) > self.size:
            scores = np.partition(scores, len(scores) - self.size)[len(scores) - self.size :].copy()
        self.parts.append(scores)
        self.held += len(scores)
        if self.held >= 2 * self.size:
            self.shrink()

    def shrink(self) -> None:
        held = np.concatenate(self.parts)
        self.parts = []
        held.partition(len(held) - self.size)  # in place: np.partition would hold all of it twice
        held = held[len(held) - self.size :].copy()
        self.parts, self.held, self.cut = [held], len(held), held[0]

    def scores(self) -> np.ndarray:
        if self.held > self.size:
            self.shrink()
        return self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts)


DENSITY = 32


def pair_scores(first, first_rows, second, second_rows) -> np.ndarray:
    """Cosine of first[first_rows[i]] and second[second_rows[i]] for each pair i: float32 [p].

    first [a, d], second [b, d]: embeddings. first_rows, second_rows: integer row numbers [p].
    Memory beside the result: a block of scores, unit copies of the rows that occur, and a few integers a pair.
    Raises ValueError on NaN, on unequal widths or lengths, and on row numbers out of range.
    """
    first, second = checks.feature_matrix("first", first), checks.feature_matrix("second", second)
    checks.same_width("first", first, "second", second)
    first_rows = _row_numbers("first_rows", first_rows, len(first))
    second_rows = _row_numbers("second_rows", second_rows, len(second))
    if len(first_rows) != len(second_rows):
        raise ValueError(f"first_rows, second_rows: {len(first_rows)} and {len(second_rows)} row numbers for one list")
    result = np.empty(len(first_rows), np.float32)
    if len(first_rows) == 0:
        return result
    used_first, rows = _compact(first_rows, len(first))
    used_second, columns = _compact(second_rows, len(second))
    left = unit_rows(first, "first", used_first)
    right = unit_rows(second, "second", used_second)
    if len(rows) * DENSITY < len(left) * len(right):
        for block in row_blocks(len(rows), left.shape[1]):
            result[block] = np.einsum("ij,ij->i", left[rows[block]], right[columns[block]])
        return result
    blocks = list(row_blocks(len(left), len(right)))
    step = blocks[0].stop
    for block, pairs in zip(blocks, _pairs_by_block(rows, step, len(blocks)), strict=True):
        scores = left[block] @ right.T
        result[pairs] = scores[rows[pairs] - block.start, columns[pairs]]
    return result


def _pairs_by_block(rows: np.ndarray, step: int, n_blocks: int) -> list:
    """For each block of `step` rows the pairs in it: slices where the list is in order already, else pair numbers."""
    if (rows[1:] >= rows[:-1]).all():
        edges = np.searchsorted(rows, np.arange(n_blocks + 1) * step)
        return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
    block_of = rows // step
    if n_blocks <= 1 << 16:
        block_of = block_of.astype(np.uint16)  # NumPy sorts 16-bit integers in linear time
    order = np.argsort(block_of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(block_of, minlength=n_blocks))[:-1])


def _compact(rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct row numbers, ascending, and each of `rows` as a position among them (int32)."""
    seen = np.zeros(n, bool)
    seen[rows] = True
    position = np.cumsum(seen, dtype=np.int32) - 1
    return np.flatnonzero(seen), position[rows]


def _row_numbers(name: str, rows, n: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected a one-dimensional array of integers, got {rows.dtype} {rows.shape}")
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise ValueError(f"{name}: expected row numbers from 0 to {n - 1}, got {rows.min()} to {rows.max()}")
    return rows
