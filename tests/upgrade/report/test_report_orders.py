"""Several orders of a backfill at once against one after the other."""

import numpy as np
import pytest
from upgrade_features import made_up

from bctlib.metrics import blocks
from bctlib.metrics.backfill import backfill_searches, random_order
from bctlib.upgrade.report.inputs import open_inputs
from bctlib.upgrade.report.measured.backfill_orders import searches_of_orders

MADE = made_up(n_classes=20, per_class=5, singles=30, seed=3)


def one_list():
    return open_inputs(MADE["new"], MADE["old"], MADE["labels"])


def two_lists():
    """Some classes have queries only, some gallery images only."""
    labels, query = MADE["labels"], np.arange(len(MADE["labels"])) % 2 == 0
    kept = ~query & (labels > 2)
    return open_inputs(
        MADE["new"][query], MADE["old"][kept], query_labels=labels[query], gallery_labels=labels[kept],
        old_query_features=MADE["old"][query], new_gallery_features=MADE["new"][kept],
    )  # fmt: skip


@pytest.mark.parametrize("form", [one_list, two_lists])
@pytest.mark.parametrize("block", [None, 1 << 9])
@pytest.mark.parametrize("points", [2, 9, 70])
def test_several_orders_at_once_are_the_searches_of_each(form, block, points, monkeypatch):
    inputs = form()
    sides, names = inputs.sides, np.unique(inputs.gallery_class)
    orders = [random_order(names, seed) for seed in range(3)]
    expected = [
        backfill_searches(
            sides.query.array, inputs.query_class, sides.gallery.array, sides.new_gallery.array, inputs.gallery_class,
            order, points, inputs.itself,
        )
        for order in orders
    ]  # fmt: skip
    if block:
        monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    for found, one in zip(searches_of_orders(inputs, orders, points), expected, strict=True):
        np.testing.assert_array_equal(found.share, one.share)
        np.testing.assert_array_equal(found.mated, one.mated)
        np.testing.assert_array_equal(found.mate_is_new[one.mated], one.mate_is_new[one.mated])
        for name in ("mate", "other_new", "other_old"):
            np.testing.assert_allclose(getattr(found, name), getattr(one, name), atol=1e-5)
