"""The names that results use for curves of partial backfill and for the steps of a live upgrade."""

from bctlib.upgrade.serve.steps import STEPS

POINTS = 51
"""Every 2 %, as in the paper (Fig. 3)."""
PER_CENT = tuple(str(2 * point) for point in range(POINTS))
TENTHS = PER_CENT[::5]
EARLY = PER_CENT[:11] + TENTHS[3:]
"""Every 2 % up to 20, where the orders of backfill differ most, then every 10 %."""

RANDOM_ORDERS = ("random order 1", "random order 2", "random order 3")
LARGEST, LEAST_CERTAIN = "largest first", "least certain first"

STANDARD, LONG_TAILED = "partial backfill", "partial backfill, long-tailed"
SEARCHED_BY_SIZE = "partial backfill, long-tailed, searched by size"
"""As LONG_TAILED, but a class with k images is searched k times as often."""
ORDERS = {
    STANDARD: (*RANDOM_ORDERS, LEAST_CERTAIN),
    LONG_TAILED: (*RANDOM_ORDERS, LARGEST, LEAST_CERTAIN),
    SEARCHED_BY_SIZE: (*RANDOM_ORDERS, LARGEST, LEAST_CERTAIN),
}
"""The orders of backfill for each kind of gallery."""

MERGED, CASCADE = "partial backfill, rank merge", "partial backfill, cascade"
"""Standard galleries, searched by both models with merged hits, or by a mapped query whose candidates are embedded
anew: practices for a new model that is not compatible."""
FILTERED = "partial backfill, filtered queries"
"""Standard galleries: plain queries of a compatible model for the new part, filtered ones for the old part."""

IMAGES = "images backfilled"
"""Metric: per cent of the gallery's images that are embedded again; n_behind is the number of all images."""
CLASSES = "classes"
"""Metric: classes of the gallery model in the query model's influence loss; of a model with itself, all its classes."""
AREA = "area under the backfill curve"
"""Metric: mean of STRICT over the shares backfilled, over RANDOM_ORDERS."""
SPEED = "images/s"
"""Metric: images of training per second, as the model's file records it."""
STRICT_FPIR = 0.01
STRICT, LOOSE = "TPIR@FPIR=0.01", "TPIR@FPIR=0.1"
"""Metrics of a curve, whose operating point is the per cent of classes backfilled."""
TWO_THRESHOLDS = "TPIR@FPIR=0.01, a threshold per model"
"""Not in the paper: as STRICT, but old and new templates have separate thresholds."""


def curve_name(galleries: str, order: str) -> str:
    """The protocol of a curve in the results."""
    return f"{galleries}, {order}"


def tpir_name(fpir: float) -> str:
    """The metric of a curve in the results."""
    return f"TPIR@FPIR={fpir:g}"


RANDOM = RANDOM_ORDERS[0]
FLAT, APPROXIMATE = "flat", ("ivf", "hnsw")

RANK = "rank 1"
ADDED = ", added classes"
"""Suffix of the metric's name for searches for the classes that were added after the new model arrived."""
ACCURACIES = (STRICT, LOOSE, TWO_THRESHOLDS, RANK)
RECALL_1, RECALL_10 = "recall@1 of the flat index", "recall@10 of the flat index"
BYTES, EMBEDDED, INSERTED, TOMBSTONES = "bytes of the indexes", "images embedded", "vectors inserted", "tombstones"
TEMPERATURE = "temperature of the attention"

AVERAGE, ATTENTION = "prototypes by average", "prototypes by attention"

UPGRADE_POINTS = {
    metric: STEPS
    for metric in (
        *ACCURACIES, *(metric + ADDED for metric in ACCURACIES), RECALL_1, RECALL_10,
        BYTES, EMBEDDED, INSERTED, TOMBSTONES, TEMPERATURE,
    )
}  # fmt: skip
"""The operating points of each metric: the steps of the upgrade."""


def upgrade_name(kind: str, order: str) -> str:
    """The protocol in the results of a kind of index and an order of backfill."""
    return curve_name(f"live upgrade, {kind}", order)
