"""Break-even of a map: how much of the gallery must be backfilled until new queries do better without it."""

from dataclasses import dataclass

import numpy as np

from bctlib.upgrade.report.evidence.backfill import BackfillBand


@dataclass(frozen=True)
class BreakEven:
    """One measure, accuracies from 0 to 1: mapped new queries on the old gallery, and new queries as they are on the
    old gallery and on the backfilled one.

    share: of the gallery's classes, 0 to 1, from which on new queries as they are do better than mapped ones on the old
    gallery: mean over random orders, linear between the points of the curve. None: at no share.
    """

    metric: str
    point: float
    mapped: float
    unmapped: float
    backfilled: float
    share: float | None

    @property
    def name(self) -> str:
        return f"TPIR@FPIR={self.point:g}" if self.metric == "TPIR" else f"rank-{self.point:g}"


def break_even(band: BackfillBand, mapped: float) -> BreakEven:
    """band: of new queries as they are; mapped: accuracy of the mapped ones on the old gallery."""
    curve, share = np.array(band.mean), np.array(band.share)
    behind = np.flatnonzero(curve <= mapped)
    if len(behind) == 0:
        at = 0.0
    elif behind[-1] == len(curve) - 1:
        at = None
    else:
        i = behind[-1]
        at = float(share[i] + (mapped - curve[i]) / (curve[i + 1] - curve[i]) * (share[i + 1] - share[i]))
    return BreakEven(band.metric, band.point, mapped, band.mean[0], band.mean[-1], at)


def break_even_sentence(found: list[BreakEven]) -> list[str]:
    """One sentence over all measures; where there are none, what it takes to know."""
    if not found:
        return ["When a backfill would overtake the map is not known: it takes the new model's gallery features."]
    return [f"Without the map, new queries do better than with it {'; '.join(_when(each) for each in found)}."]


def _when(each: BreakEven) -> str:
    level = f"{100 * each.mapped:.2f} %"
    if each.share is None:
        return f"at no share of backfill at {each.name} ({100 * each.backfilled:.2f} % at its end, {level} mapped)"
    if each.share == 0:
        return f"at once, before any backfill, at {each.name} ({100 * each.unmapped:.2f} %, {level} mapped)"
    return f"once {100 * each.share:.0f} % of the gallery's classes are backfilled at {each.name} ({level} mapped)"
