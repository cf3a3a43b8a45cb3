"""The ways to measure a pair of models: one entry per protocol family; experiments name the one that they use."""

from collections.abc import Callable

from bctlib.experiments.compare import Measurement, compare
from bctlib.experiments.live_upgrade import compare_upgrade
from bctlib.experiments.partial_backfill import compare_backfill, compare_backfill_orders
from bctlib.experiments.reid import compare_reid
from bctlib.experiments.workbench import Workbench

MEASURES: dict[str, Callable[[Workbench, str, str, str], list[Measurement]]] = {
    "templates": compare,
    "re-identification": compare_reid,
    "backfill": compare_backfill,
    "backfill orders": compare_backfill_orders,
    "live upgrade": compare_upgrade,
}
"""Each takes a workbench, the query model, the gallery model and the part of the split."""
