"""The tables of results, as data: which pairs of models each compares, and at which operating points.

How curves of partial backfill are named in the results, and at which points they are kept; data alone.

How the measures of a live upgrade are named in the results; data alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bctlib.base.errors import UsageError
from bctlib.models import with_lambda
from bctlib.upgrade.serve.steps import STEPS
from companion.pairs import (
    BACKFILL_ORDER_PAIRS,
    BACKFILL_PAIRS,
    BASELINE_PAIRS,
    CHAIN_MATRIX,
    CHAIN_PAIRS,
    CHAIN_PARAGONS,
    LONG_CHAIN_MATRIX,
    LOWER_BOUND,
    OWN_PAIRS,
    PARAGON,
    REID_PAIRS,
    ROBUSTNESS_OWN_PAIRS,
    ROBUSTNESS_PAIRS,
    SHARE_PAIRS,
    STRONGER_PAIRS,
    UPGRADE_PAIRS,
    Pair,
)

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

UPGRADE_POINTS = {
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


MAIN_POINTS = {"TAR@FAR": ("0.0001",), "TPIR@FPIR": ("0.01",)}
ALL_POINTS = {
    "TAR@FAR": ("1e-06", "1e-05", "0.0001", "0.001", "0.01"),
    "TPIR@FPIR": ("0.001", "0.01", "0.1"),
    "rank": ("1", "5"),
    "constraints kept": ("different", "same"),
}

LONG_CHAIN_POINTS = {"TAR@FAR": ("0.0001", "0.001"), "TPIR@FPIR": ("0.01", "0.1")}
REID_POINTS = {"mAP": ("",), "mAP, trapezoid": ("",), "cmc": ("1", "5", "10")}
BACKFILL_POINTS = {STRICT: PER_CENT, LOOSE: TENTHS, TWO_THRESHOLDS: TENTHS}
BACKFILL_ORDER_POINTS = {STRICT: EARLY, LOOSE: ("0", "10", "50", "100"), TWO_THRESHOLDS: TENTHS, IMAGES: EARLY}

LAMBDAS = ("0.1", "1", "10")
"""Weights of the term that binds new to old, for the comparison of own and cross accuracy."""


def _at(model: str, lam: str) -> str:
    return model if lam == "1" else f"{model}@{lam}"


TRADEOFF_MODELS: tuple[str, ...] = tuple(_at(model, lam) for model in ("new-l2", "new-bct") for lam in LAMBDAS)
TRADEOFF_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    PARAGON,
    *((model, gallery) for model in TRADEOFF_MODELS for gallery in ("old", model)),
)


@dataclass(frozen=True)
class TableSpec:
    """One table of results, `results/<scale>/<name>.csv`.

    points: for each metric the operating points it holds, as the results write them. parts: of the split; `validation`
    beside `test` where something is chosen, which must not be done on test identities. paragons: for a query model
    the model that Eq. 9 calls its paragon, where that is not `new*`. gaps: for a model's own row the pair that its
    absolute gain is taken from. target: what `./reproduce.sh` makes it by, where that is not its name.
    """

    name: str
    caption: str
    pairs: tuple[Pair, ...]
    points: dict[str, tuple[str, ...]]
    parts: tuple[str, ...] = ("test",)
    paragons: Mapping[str, str] = field(default_factory=dict)
    gaps: Mapping[Pair, Pair] = field(default_factory=lambda: {PARAGON: LOWER_BOUND})
    target: str = ""

    def paragon(self, query: str) -> Pair:
        """(phi*, phi*) of the query model (plain name, without a lambda)."""
        name = self.paragons.get(query, PARAGON[0])
        return (name, name)


_CHAIN = {
    "paragons": {"phi2": "phi2*", "phi3": "phi3*"},
    "gaps": {("phi2*", "phi2*"): ("phi1", "phi1"), ("phi3*", "phi3*"): ("phi2*", "phi2*")},
}
"""The paper takes each paragon's gain from the version before, for phi3* from the paragon phi2*."""

TABLES = (
    TableSpec("table1", "Baselines and BCT against the old gallery", BASELINE_PAIRS, MAIN_POINTS),
    TableSpec("table2", "Own accuracy of models trained with BCT", OWN_PAIRS, MAIN_POINTS),
    TableSpec("table8", "All operating points of Table 1", BASELINE_PAIRS, ALL_POINTS),
    TableSpec("table3", "Other networks, dimensions and heads", ROBUSTNESS_PAIRS, MAIN_POINTS),
    TableSpec("table7", "All points of Table 3, and other shares", ROBUSTNESS_PAIRS + SHARE_PAIRS, ALL_POINTS),
    TableSpec("robustness_own", "Own accuracy of Table 7's models", ROBUSTNESS_OWN_PAIRS, MAIN_POINTS, target="table3"),
    TableSpec("stronger", "BCT bound more strongly", STRONGER_PAIRS, ALL_POINTS),
    TableSpec("table4", "A chain of three versions", CHAIN_PAIRS + CHAIN_PARAGONS, MAIN_POINTS, **_CHAIN),
    TableSpec("table9", "All operating points of Table 4", CHAIN_PAIRS + CHAIN_PARAGONS, ALL_POINTS, **_CHAIN),
    TableSpec("chain_matrix", "Every version against every gallery", CHAIN_MATRIX, MAIN_POINTS, target="table4"),
    TableSpec("long_chain", "A chain of six versions", LONG_CHAIN_MATRIX, LONG_CHAIN_POINTS),
    TableSpec("table5", "Re-identification", REID_PAIRS, REID_POINTS),
    TableSpec("fig3", "Partial backfill", BACKFILL_PAIRS, BACKFILL_POINTS),
    TableSpec("backfill_orders", "Orders of backfill", BACKFILL_ORDER_PAIRS, BACKFILL_ORDER_POINTS, target="fig3"),
    TableSpec("upgrade", "A live upgrade of a search index", UPGRADE_PAIRS, UPGRADE_POINTS),
    TableSpec("tradeoff", "Own against cross accuracy", TRADEOFF_PAIRS, MAIN_POINTS, ("validation", "test")),
)


_MADE_WITH = {
    "score_distributions": "table1", "failure_scores": "table3", "coordinates": "table3", "reid_hits": "table5",
    "upgrade_speed": "upgrade",
}  # fmt: skip
"""What a notebook keeps for a figure, and the target whose notebook it is."""


def made_by(name: str) -> str:
    """The word of `./reproduce.sh` that makes the table of that name."""
    targets = {table.name: table.target for table in TABLES if table.target} | _MADE_WITH
    return targets.get(name, name)


def find_table(name: str) -> TableSpec:
    """The table of that name. Raises UsageError for an unknown one."""
    for table in TABLES:
        if table.name == name:
            return table
    raise UsageError(f"unknown table {name!r}: expected one of {', '.join(table.name for table in TABLES)}")


@dataclass(frozen=True)
class Experiment:
    """Tables that one notebook measures from one set of models. measure: which of `measures.MEASURES` does it."""

    name: str
    tables: tuple[str, ...]
    measure: str = "templates"

    @property
    def task(self) -> str:
        """Whose data it needs at paper scale: "persons" or "faces"; glyphs serve both."""
        return "persons" if self.measure == "re-identification" else "faces"

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every pair of every table, once."""
        return tuple(dict.fromkeys(pair for table in self.tables for pair in find_table(table).pairs))

    @property
    def models(self) -> tuple[str, ...]:
        """Every model of every pair, once."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in pair))

    @property
    def has_own_lambdas(self) -> bool:
        """Whether some of its models name their lambda: then the run's lambda is not for this experiment."""
        return any("@" in model for model in self.models)

    def lambda_in(self, lam: float) -> float:
        """The lambda of its models without one in their name, in a run at lambda `lam`."""
        return 1.0 if self.has_own_lambdas else lam

    def models_at(self, lam: float) -> tuple[str, ...]:
        """Every model once, by the name that it has in a run at this lambda."""
        return tuple(with_lambda(model, self.lambda_in(lam)) for model in self.models)


EXPERIMENTS = (
    Experiment("baselines", ("table1", "table2", "table8")),
    Experiment("tradeoff", ("tradeoff",)),
    Experiment("robustness", ("table3", "table7", "robustness_own")),
    Experiment("stronger", ("stronger",)),
    Experiment("chain", ("table4", "table9", "chain_matrix")),
    Experiment("long_chain", ("long_chain",)),
    Experiment("backfill", ("fig3",), measure="backfill"),
    Experiment("backfill_orders", ("backfill_orders",), measure="backfill orders"),
    Experiment("upgrade", ("upgrade",), measure="live upgrade"),
    Experiment("reid", ("table5",), measure="re-identification"),
)


def find_experiment(table: str) -> Experiment:
    """The experiment that measures the table. Raises UsageError for an unknown table."""
    for experiment in EXPERIMENTS:
        if table in experiment.tables:
            return experiment
    raise UsageError(f"no experiment measures {table!r}")
