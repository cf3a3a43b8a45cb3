"""Every table of results as one row of data: what it compares, how it is measured and shown, and its figure.

Functions are named by path ("package.module:function") and imported when they are called, so that this module loads
neither torch nor matplotlib. To add a table, add a row to TABLES, with a figure function if it is drawn; the word of
`./reproduce.sh` that makes it is a target of `companion.launcher.targets`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from bctlib.base.errors import UsageError
from bctlib.models import with_lambda
from companion.curves import (
    AREA,
    CLASSES,
    EARLY,
    IMAGES,
    LOOSE,
    PER_CENT,
    SPEED,
    STRICT,
    TENTHS,
    TWO_THRESHOLDS,
    UPGRADE_POINTS,
)
from companion.pairs import (
    BACKFILL_ORDER_PAIRS,
    BACKFILL_PAIRS,
    BASELINE_PAIRS,
    CHAIN_FILTER_PAIRS,
    CHAIN_MATRIX,
    CHAIN_PAIRS,
    CHAIN_PARAGONS,
    FILTER_PAIRS,
    FOLLOW_UP_PAIRS,
    FOLLOW_UP_WEIGHTS,
    GRANDPARENT_PAIRS,
    IDENTITY_PAIRS,
    IDENTITY_PARAGONS,
    LONG_CHAIN_MATRIX,
    LOWER_BOUND,
    MAP_PAIRS,
    MERGE_PAIRS,
    OWN_PAIRS,
    PARAGON,
    REID_PAIRS,
    ROBUSTNESS_OWN_PAIRS,
    ROBUSTNESS_PAIRS,
    SHARE_PAIRS,
    STRONGER_PAIRS,
    TRADEOFF_PAIRS,
    UPGRADE_PAIRS,
    Pair,
)

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


@dataclass(frozen=True)
class TableSpec:
    """One table of results, `results/<scale>/<name>.csv`.

    points: operating points of each metric, as the results write them. shown: path of the function that returns its
    (heading, table) pairs, called with this row and a `View`. figure: path of the function that draws it, if any.
    measure: path of the function that measures a pair. experiment: tables with the same value are measured together
    from one set of models; by default the table's own name. task: the data set it needs at paper scale, "faces" or
    "persons". parts: parts of the split; `validation` beside `test` if something is chosen, because that must not be
    done on test identities. paragons: a query model's paragon in Eq. 9, if it is not `new*`. gaps: for a model's own
    row, the pair from which its absolute gain is measured. target: the word of `./reproduce.sh` that makes the table,
    by default the table's own name.
    """

    name: str
    heading: str
    pairs: tuple[Pair, ...]
    points: dict[str, tuple[str, ...]]
    shown: str = "companion.tables.pairs:accuracy_tables"
    figure: str = ""
    measure: str = "companion.measure.templates:compare"
    experiment: str = ""
    task: str = "faces"
    parts: tuple[str, ...] = ("test",)
    paragons: Mapping[str, str] = field(default_factory=dict)
    gaps: Mapping[Pair, Pair] = field(default_factory=lambda: {PARAGON: LOWER_BOUND})
    target: str = ""

    def paragon(self, query: str) -> Pair:
        """(phi*, phi*) of the query model (plain name, without a lambda)."""
        name = self.paragons.get(query, PARAGON[0])
        return (name, name)


_COMPATIBILITY = {"shown": "companion.tables.pairs:compatibility_tables"}
STRENGTH = "strength of the filter"
_FILTER_POINTS = ALL_POINTS | {STRENGTH: ("",)}
_MAP_POINTS = ALL_POINTS | {
    "strength": (
        "ridge", "diagonal", "low-rank", "lambda-orthogonal", "span-filter", "midpoint", "midpoint, best weight",
    )
}  # fmt: skip
_FILTER = {
    "measure": "companion.measure.mapped.query_filter:compare_filtered",
    "shown": "companion.tables.shown.query_filter:filter_tables",
}
_MATRIX = {"shown": "companion.tables.pairs:matrix_tables"}
_ROBUSTNESS = {"experiment": "robustness"}
_CHAIN = {
    "experiment": "chain",
    "paragons": {"phi2": "phi2*", "phi3": "phi3*"},
    "gaps": {("phi2*", "phi2*"): ("phi1", "phi1"), ("phi3*", "phi3*"): ("phi2*", "phi2*")},
}
"""The paper measures each paragon's gain from the previous version, for phi3* from the paragon phi2*."""

TABLES = (
    TableSpec(
        "table1", "Table 1", BASELINE_PAIRS, MAIN_POINTS, experiment="baselines", **_COMPATIBILITY,
        figure="companion.figures.dots:plot_baselines",
    ),
    TableSpec(
        "table2", "Table 2: own accuracy of models trained with BCT, ours (paper), %", OWN_PAIRS, MAIN_POINTS,
        experiment="baselines",
    ),
    TableSpec(
        "table8", "Table 8: all operating points, ours (paper), %", BASELINE_PAIRS, ALL_POINTS, experiment="baselines",
        figure="companion.figures.drawn.claims:plot_claims",
    ),
    TableSpec(
        "filtered", "Filtered queries of models bound by BCT (ours, not in the paper), %", FILTER_PAIRS,
        _FILTER_POINTS, target="table1", **_FILTER,
    ),
    TableSpec(
        "tradeoff", "Own and cross accuracy over lambda (not in the paper), %", TRADEOFF_PAIRS, MAIN_POINTS,
        parts=("validation", "test"), figure="companion.figures.dots:plot_tradeoff",
    ),
    TableSpec("table3", "Table 3", ROBUSTNESS_PAIRS, MAIN_POINTS, **_ROBUSTNESS, **_COMPATIBILITY),
    TableSpec(
        "table7", "Table 7: all operating points of Table 3 and of other shares, ours (paper), %",
        ROBUSTNESS_PAIRS + SHARE_PAIRS, ALL_POINTS, **_ROBUSTNESS, figure="companion.figures.dots:plot_robustness",
    ),
    TableSpec(
        "robustness_own", "Own accuracy of the models of Tables 3 and 7 (not in the paper), %", ROBUSTNESS_OWN_PAIRS,
        MAIN_POINTS, **_ROBUSTNESS, target="table3",
    ),
    TableSpec(
        "stronger", "BCT bound more strongly, where it fails at lambda 1 (not in the paper), %", STRONGER_PAIRS,
        ALL_POINTS,
    ),
    TableSpec(
        "identities", "How many identities does BCT need? (not in the paper)", IDENTITY_PAIRS,
        ALL_POINTS | {CLASSES: ("",)}, measure="companion.measure.templates:compare_and_count",
        shown="companion.tables.shown.old_classes:gain_tables", figure="companion.figures.dots:plot_old_classes",
        paragons=IDENTITY_PARAGONS,
    ),
    TableSpec(
        "table4", "Table 4", CHAIN_PAIRS + CHAIN_PARAGONS, MAIN_POINTS, **_CHAIN, **_COMPATIBILITY,
        figure="companion.figures.drawn.chain:plot_fig2",
    ),
    TableSpec(
        "table9", "Table 9: all operating points of the chain, ours (paper), %", CHAIN_PAIRS + CHAIN_PARAGONS,
        ALL_POINTS, **_CHAIN,
    ),
    TableSpec("chain_matrix", "Versions of Table 4", CHAIN_MATRIX, MAIN_POINTS, **_CHAIN, **_MATRIX, target="table4"),
    TableSpec(
        "filtered_chain", "Filtered queries of the chain (ours, not in the paper), %", CHAIN_FILTER_PAIRS,
        _FILTER_POINTS, target="table4", **_FILTER,
    ),
    TableSpec(
        "long_chain", "Chain of six versions (not in the paper)", LONG_CHAIN_MATRIX, LONG_CHAIN_POINTS, **_MATRIX,
        figure="companion.figures.drawn.chain:plot_long_chain",
    ),
    TableSpec(
        "table5", "Table 5", REID_PAIRS, REID_POINTS, experiment="reid", task="persons",
        measure="companion.measure.reid:compare_reid", shown="companion.tables.shown.reid:reid_tables",
        figure="companion.figures.dots:plot_reid",
    ),
    TableSpec(
        "filtered_reid", "Filtered queries of re-identification (ours, not in the paper), %", (("new-bct", "old"),),
        REID_POINTS | {STRENGTH: ("",)}, target="table5", task="persons",
        measure="companion.measure.mapped.query_filter:compare_filtered_reid", shown=_FILTER["shown"],
    ),
    TableSpec(
        "fig3", "Figure 3", BACKFILL_PAIRS, BACKFILL_POINTS, measure="companion.measure.backfill:compare_backfill",
        shown="companion.tables.shown.backfill:fig3_tables", figure="companion.figures.drawn.backfill:plot_backfill",
    ),
    TableSpec(
        "backfill_orders", "Orders of backfill", BACKFILL_ORDER_PAIRS, BACKFILL_ORDER_POINTS, target="fig3",
        measure="companion.measure.backfill:compare_backfill_orders",
        shown="companion.tables.shown.backfill:order_tables", figure="companion.figures.drawn.backfill:plot_orders",
    ),
    TableSpec(
        "maps", "Maps without training (not in the paper)", MAP_PAIRS, _MAP_POINTS,
        measure="companion.measure.mapped.every_map:compare_maps", shown="companion.tables.shown.maps:maps_tables",
        figure="companion.figures.drawn.maps:plot_maps",
    ),
    TableSpec(
        "followups", "Methods after the paper (not in the paper), %", FOLLOW_UP_PAIRS,
        ALL_POINTS | {AREA: ("",), SPEED: ("",)}, measure="companion.measure.backfill:compare_with_area",
        shown="companion.tables.shown.followups:method_tables",
        figure="companion.figures.drawn.followups:plot_followups",
    ),
    TableSpec(
        "followup_weights", "Methods after the paper, over their weight (not in the paper), %", FOLLOW_UP_WEIGHTS,
        MAIN_POINTS, parts=("validation", "test"), shown="companion.tables.shown.followups:weight_tables",
    ),
    TableSpec(
        "grandparents", "Against the version before the old one (not in the paper), %", GRANDPARENT_PAIRS, MAIN_POINTS,
        shown="companion.tables.shown.followups:grandparent_tables",
    ),
    TableSpec(
        "merging", "Merging two spaces (not in the paper)", MERGE_PAIRS, {STRICT: TENTHS, LOOSE: TENTHS}, target="fig3",
        measure="companion.measure.mapped.merging:compare_practices",
        shown="companion.tables.shown.merging:practice_tables",
        figure="companion.figures.drawn.merging:plot_practices",
    ),
    TableSpec(
        "upgrade", "Live upgrade", UPGRADE_PAIRS, UPGRADE_POINTS, measure="companion.measure.upgrade:compare_upgrade",
        shown="companion.tables.shown.upgrade:upgrade_tables",
        figure="companion.figures.drawn.upgrade:plot_live_upgrade",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class FigureData:
    """Results saved only for a figure, or a second figure of a table: `results/<scale>/<name>.csv`.

    target, figure: as in `TableSpec`.
    """

    name: str
    target: str
    figure: str = ""


FIGURE_DATA = (
    FigureData("diagnostics", "table1", "companion.figures.drawn.diagnostics:plot_diagnostics"),
    FigureData("table8", "table8", "companion.figures.drawn.gains:plot_update_gains"),
    FigureData("score_distributions", "table1", "companion.figures.drawn.scores:plot_scores"),
    FigureData("curves", "table1", "companion.figures.drawn.scores:plot_curves"),
    FigureData("failure_scores", "table3", "companion.figures.drawn.scores:plot_failure_scores"),
    FigureData("coordinates", "table3", "companion.figures.drawn.scores:plot_coordinates"),
    FigureData("reid_hits", "table5", "companion.figures.drawn.hits:redraw_reid_hits"),
    FigureData("tour", "tour", "companion.figures.drawn.hits:plot_retrieval"),
    FigureData("upgrade_speed", "upgrade"),
)


def made_by(name: str) -> str:
    """The word of `./reproduce.sh` that makes the table of that name."""
    return {row.name: row.target for row in (*TABLES, *FIGURE_DATA) if row.target}.get(name, name)


def find_table(name: str) -> TableSpec:
    """The table of that name. Raises UsageError for an unknown one."""
    for table in TABLES:
        if table.name == name:
            return table
    raise UsageError(f"unknown table {name!r}: expected one of {', '.join(table.name for table in TABLES)}")


@dataclass(frozen=True)
class Experiment:
    """Tables that are measured together from one set of models. task, measure: as in `TableSpec`."""

    tables: tuple[str, ...]
    task: str
    measure: str

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
        """Whether some of its models name their own lambda; the run's lambda then does not apply."""
        return any(own_lambdas(table) for table in self.tables)

    def lambda_in(self, lam: float) -> float:
        """The lambda of its models that name none, in a run at lambda `lam`."""
        return 1.0 if self.has_own_lambdas else lam

    def models_at(self, lam: float, pairs: Iterable[Pair] | None = None) -> tuple[str, ...]:
        """Every model once, under its name in a run at this lambda. pairs: the models of these alone."""
        models = self.models if pairs is None else dict.fromkeys(name for pair in pairs for name in pair)
        return tuple(with_lambda(model, self.lambda_in(lam)) for model in models)


def own_lambdas(table: str) -> set[str]:
    """The models of the table that name their lambda (`new-bct@10`); none for the data of a figure."""
    return {name for spec in TABLES if spec.name == table for pair in spec.pairs for name in pair if "@" in name}


@cache
def find_experiment(table: str) -> Experiment:
    """The experiment that measures the table. Raises UsageError for an unknown table."""
    spec = find_table(table)
    together = [each for each in TABLES if _experiment_of(each) == _experiment_of(spec)]
    return Experiment(tuple(each.name for each in together), spec.task, spec.measure)


def _experiment_of(table: TableSpec) -> str:
    return table.experiment or table.name
