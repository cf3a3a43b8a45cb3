"""1:1 verification: TAR@FAR, exact, from scores or from embeddings."""

from typing import NamedTuple

import numpy as np

from bctlib.metrics import checks
from bctlib.metrics.blocks import matching_pairs, row_blocks, unit_rows
from bctlib.metrics.operating_points import OperatingPoint, allowed, operating_points

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
    rule: "strict" (ties count against us) or "nearest" (see bctlib.metrics.operating_points).
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
        held = np.partition(held, len(held) - self.size)[len(held) - self.size :].copy()
        self.parts, self.held, self.cut = [held], len(held), held[0]

    def scores(self) -> np.ndarray:
        if self.held > self.size:
            self.shrink()
        return np.concatenate(self.parts)
