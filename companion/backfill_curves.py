"""How curves of partial backfill are named in the results, and at which points they are kept; data alone."""

POINTS = 51
"""Every 2 %, as in the paper (Fig. 3)."""
PER_CENT = tuple(str(2 * point) for point in range(POINTS))
TENTHS = PER_CENT[::5]
EARLY = PER_CENT[:11] + TENTHS[3:]
"""Every 2 % up to 20, where an order of backfill has to show its worth, then every 10 %."""

RANDOM_ORDERS = ("random order 1", "random order 2", "random order 3")
LARGEST, LEAST_CERTAIN = "largest first", "least certain first"

STANDARD, LONG_TAILED = "partial backfill", "partial backfill, long-tailed"
SEARCHED_BY_SIZE = "partial backfill, long-tailed, searched by size"
"""As the one before, but a class with k images is searched k times as often."""
ORDERS = {
    STANDARD: (*RANDOM_ORDERS, LEAST_CERTAIN),
    LONG_TAILED: (*RANDOM_ORDERS, LARGEST, LEAST_CERTAIN),
    SEARCHED_BY_SIZE: (*RANDOM_ORDERS, LARGEST, LEAST_CERTAIN),
}
"""The orders that each kind of gallery is backfilled in."""

IMAGES = "images backfilled"
"""Metric: per cent of the gallery's images that are embedded anew; n_behind is the number of all images."""
STRICT_FPIR = 0.01
STRICT, LOOSE = "TPIR@FPIR=0.01", "TPIR@FPIR=0.1"
"""Metrics of a curve, whose operating point is the per cent of classes backfilled."""
TWO_THRESHOLDS = "TPIR@FPIR=0.01, a threshold per model"
"""Not in the paper: as STRICT, but old and new templates have a threshold of their own."""


def curve_name(galleries: str, order: str) -> str:
    """How the protocol of a curve is written in the results."""
    return f"{galleries}, {order}"


def tpir_name(fpir: float) -> str:
    """How the metric of a curve is written in the results."""
    return f"TPIR@FPIR={fpir:g}"
