"""The ways to measure a pair of models: one entry per protocol family; experiments name the one that they use."""

from collections.abc import Callable

from companion.measure.templates import Measurement, compare
from companion.measure.upgrade import compare_upgrade
from companion.measure.backfill import compare_backfill, compare_backfill_orders
from companion.measure.reid import compare_reid
from companion.workbench import Workbench

MEASURES: dict[str, Callable[[Workbench, str, str, str], list[Measurement]]] = {
    "templates": compare,
    "re-identification": compare_reid,
    "backfill": compare_backfill,
    "backfill orders": compare_backfill_orders,
    "live upgrade": compare_upgrade,
}
"""Each takes a workbench, the query model, the gallery model and the part of the split."""
