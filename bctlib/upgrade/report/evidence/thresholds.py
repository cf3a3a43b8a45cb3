"""The threshold that keeps a false accept rate after the upgrade, also while half of the gallery is backfilled."""

import math
from dataclasses import dataclass

import numpy as np

from bctlib.metrics.backfill import random_order
from bctlib.metrics.blocks import matching_pairs, row_blocks, unit_rows
from bctlib.metrics.verification import Tail, allowed, thresholds
from bctlib.upgrade.evaluate.comparisons import Comparison
from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.measures import Measured, Points

RATES = {"TAR": "FAR", "TPIR": "FPIR"}


@dataclass(frozen=True)
class NewThreshold:
    """Cosines that an accepted score must exceed so that the rate `rate` (FAR or FPIR) is at most `point`.

    old: for old/old. new: for new/old. half: for new queries with half of the gallery's classes backfilled, in a random
    order. backfilled: for new/new. None: not measured, or everything may be accepted.
    """

    rate: str
    point: float
    old: float | None
    new: float | None
    half: float | None
    backfilled: float | None

    def sentence(self) -> str:
        """What to do, in words."""
        more = {"half of the gallery is backfilled": self.half, "all of it is": self.backfilled}
        later = ", ".join(f"{value:.4f} once {when}" for when, value in more.items() if value is not None)
        old, new = ("none" if each is None else f"{each:.4f}" for each in (self.old, self.new))
        return f"For the same {self.rate}={self.point:g} replace the threshold {old} by {new}" + (
            f" ({later})." if later else "."
        )


def new_thresholds(measured: dict[str, Measured], points: Points, inputs: Inputs, seed: int) -> list[NewThreshold]:
    """One for each FPIR and FAR that was measured. measured: by "query model/gallery model"."""
    halves = half_backfilled(inputs, points, seed)
    by_pair = {
        name: {(row.metric, row.point): row.threshold for row in measured[name].rows if row.threshold is not None}
        for name in ("old/old", "new/old", "new/new")
        if name in measured
    }
    return [
        NewThreshold(
            RATES[metric], point,
            *(
                _finite(each.get((metric, point)))
                for each in (by_pair["old/old"], by_pair["new/old"], halves, by_pair.get("new/new", {}))
            ),
        )
        for metric, point in by_pair["old/old"]
    ]  # fmt: skip


def half_backfilled(inputs: Inputs, points: Points, seed: int) -> dict[tuple[str, float], float]:
    """The strict rule's threshold by (metric, rate) of new queries on a gallery of which a random half of the classes
    has the new model's templates; empty where these are not known.

    Old templates are compared with what new/old compares them with (a query's first dimensions, or its map).
    """
    if inputs.sides.new_gallery is None or not (points.far or points.fpir):
        return {}
    names = np.unique(inputs.gallery_class)
    is_new = np.isin(inputs.gallery_class, random_order(names, [seed, 0])[: len(names) // 2])
    cross, _ = inputs.comparisons()[0].of_one_width()
    new = Comparison("new", "new", inputs.sides.query.array, inputs.sides.new_gallery.array)
    tail = Tail(min(inputs.n_impostors, allowed(max(points.far, default=0.0), inputs.n_impostors) + 1))
    best = np.full(len(inputs.query_class), -np.inf, np.float32)
    for comparison, chosen in ((cross, ~is_new), (new, is_new)):
        held = np.flatnonzero(chosen)
        if len(held) == 0:
            continue
        right = unit_rows(comparison.gallery, "gallery_features", held).T
        rows, columns = matching_pairs(inputs.query_class, inputs.gallery_class[held])
        for block in row_blocks(len(best), len(held)):
            scores = unit_rows(comparison.query, "query_features", block) @ right
            own = slice(*np.searchsorted(rows, [block.start, block.stop]))
            scores[rows[own] - block.start, columns[own]] = -np.inf
            np.maximum(best[block], scores.max(axis=1), out=best[block])
            tail.add(scores.reshape(-1), own.stop - own.start)
    found = {}
    for metric, rates, scores, n in (
        ("TAR", points.far, tail.scores(), inputs.n_impostors),
        ("TPIR", points.fpir, best[~inputs.mated], None),
    ):
        cuts = thresholds(scores, rates, n) if rates else []
        found |= {(metric, rate): cut for rate, (cut, _) in zip(rates, cuts, strict=True)}
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
