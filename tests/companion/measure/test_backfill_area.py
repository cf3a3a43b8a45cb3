"""The area under the backfill curve that the table of follow-ups shows."""

import pytest

from companion.curves import AREA, LOOSE, PER_CENT, RANDOM_ORDERS, STANDARD, STRICT, curve_name
from companion.measure import backfill
from companion.measure.templates import Measurement


def test_the_area_is_the_mean_height_of_the_random_orders(monkeypatch):
    """Two curves that rise in a straight line to 100 and one that stays at 40: (50 + 50 + 40) / 3."""

    def curves(bench, query, gallery, part, kind, orders):
        return [
            Measurement(curve_name(kind, order), metric, point, height if metric == STRICT else 7.0, 9)
            for order in orders
            for point in PER_CENT
            for metric in (STRICT, LOOSE)
            for height in [40.0 if order == RANDOM_ORDERS[2] else float(point)]
        ]

    monkeypatch.setattr(backfill, "_curves", curves)
    monkeypatch.setattr(backfill, "compare", lambda *of: [])
    [area] = backfill.compare_with_area(None, "new-bct", "old")
    assert (area.protocol, area.metric, area.operating_point, area.n_behind) == (STANDARD, AREA, "", 9)
    assert area.value == pytest.approx(140 / 3)
