"""Accuracy of new queries while the gallery is backfilled class by class, in random orders (Appendix B, Fig. 3)."""

from dataclasses import dataclass

import numpy as np

from bctlib.metrics.backfill import random_order, tpir_along
from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.backfill_orders import searches_of_orders
from bctlib.upgrade.report.measured.resampling import interval

POINTS = 21
MOST_ORDERS, FEWEST_ORDERS = 20, 5
OPERATIONS = 5e11
"""Floating-point operations to spend where no number of orders is given: about ten seconds on one core."""


@dataclass(frozen=True)
class BackfillBand:
    """One measure along the backfill. share [p]: of the gallery's classes, 0 to 1. mean, low, high [p]: over orders.

    low and high hold the middle 95 % of the random orders.
    """

    metric: str
    point: float
    share: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def affordable_orders(inputs: Inputs) -> int:
    """The number of random orders, 5 to 20, that takes a reasonable time."""
    (q, d), n = inputs.sides.query.array.shape, len(inputs.gallery_class)
    return int(np.clip(OPERATIONS / (4.0 * q * n * d), FEWEST_ORDERS, MOST_ORDERS))


def backfill_bands(inputs: Inputs, fpir: list[float], orders: int, seed: int) -> list[BackfillBand]:
    """TPIR at each FPIR, or rank 1 where there are none; empty without the new model's gallery features."""
    if inputs.sides.new_gallery is None:
        return []
    names = np.unique(inputs.gallery_class)
    drawn = [random_order(names, [seed, number]) for number in range(orders)]
    curves = []
    for found in searches_of_orders(inputs, drawn, POINTS):
        first = (found.mate > found.best_other)[found.mated].mean(axis=0)
        curves.append(tpir_along(found, fpir) if fpir else first[:, None])
    along = np.array(curves)  # [orders, points, measures]
    bands = []
    for column, (metric, point) in enumerate([("TPIR", rate) for rate in fpir] or [("rank", 1)]):
        spread = [interval(each.mean(), each) for each in along[:, :, column].T]
        low, high = ([float(getattr(each, name)) for each in spread] for name in ("low", "high"))
        bands.append(BackfillBand(metric, point, found.share.tolist(), [each.value for each in spread], low, high))
    return bands
