"""How the measures of a live upgrade are named in the results; data alone."""

from companion.backfill_curves import LARGEST, LOOSE, RANDOM_ORDERS, STRICT, TWO_THRESHOLDS, curve_name
from companion.pairs import UPGRADE_PAIRS
from bctlib.upgrade.serve.steps import STEPS

__all__ = ["LARGEST", "LOOSE", "STEPS", "STRICT", "TWO_THRESHOLDS", "UPGRADE_PAIRS"]

TABLE = "upgrade"
RANDOM = RANDOM_ORDERS[0]
FLAT, APPROXIMATE = "flat", ("ivf", "hnsw")

RANK = "rank 1"
ADDED = ", added classes"
"""Ends the metric's name where the searches are those for the classes that were added after the new model came."""
ACCURACIES = (STRICT, LOOSE, TWO_THRESHOLDS, RANK)
RECALL_1, RECALL_10 = "recall@1 of the flat index", "recall@10 of the flat index"
BYTES, EMBEDDED, INSERTED, TOMBSTONES = "bytes of the indexes", "images embedded", "vectors inserted", "tombstones"
TEMPERATURE = "temperature of the attention"

AVERAGE, ATTENTION = "prototypes by average", "prototypes by attention"

POINTS = {
    metric: STEPS
    for metric in (
        *ACCURACIES, *(metric + ADDED for metric in ACCURACIES), RECALL_1, RECALL_10,
        BYTES, EMBEDDED, INSERTED, TOMBSTONES, TEMPERATURE,
    )
}  # fmt: skip
"""For each metric its operating points, which are the steps."""


def upgrade_name(kind: str, order: str) -> str:
    """The protocol of a kind of index whose classes are backfilled in an order."""
    return curve_name(f"live upgrade, {kind}", order)
