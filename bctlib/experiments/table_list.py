"""What each table compares, as data: pairs of models, and the operating points that the paper prints.

A pair is (query model, gallery model): the first embeds first templates and probes, the second second templates and
galleries (paper Sec. 3.3).
"""

from dataclasses import dataclass

from bctlib.errors import UsageError
from bctlib.training.model_list import with_lambda

Pair = tuple[str, str]

LOWER_BOUND: Pair = ("old", "old")
PARAGON: Pair = ("new*", "new*")
BASELINE_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("new*", "old"),
    ("new-l2", "old"),
    ("new-lwf", "old"),
    ("new-bct", "old"),
    ("new-bct-kd", "old"),
    ("new-bct-sys", "old"),
    PARAGON,
)
OWN_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("new-bct", "new-bct"),
    ("new-bct-kd", "new-bct-kd"),
    ("new-bct-sys", "new-bct-sys"),
    PARAGON,
)

MAIN_POINTS = {"TAR@FAR": ("0.0001",), "TPIR@FPIR": ("0.01",)}
ALL_POINTS = {
    "TAR@FAR": ("1e-06", "1e-05", "0.0001", "0.001", "0.01"),
    "TPIR@FPIR": ("0.001", "0.01", "0.1"),
    "rank": ("1", "5"),
    "constraints kept": ("different", "same"),
}

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
    beside `test` where something is chosen, which must not be done on test identities.
    """

    name: str
    caption: str
    pairs: tuple[Pair, ...]
    points: dict[str, tuple[str, ...]]
    parts: tuple[str, ...] = ("test",)


TABLES = (
    TableSpec("table1", "Baselines and BCT against the old gallery", BASELINE_PAIRS, MAIN_POINTS),
    TableSpec("table2", "Own accuracy of models trained with BCT", OWN_PAIRS, MAIN_POINTS),
    TableSpec("table8", "All operating points of Table 1", BASELINE_PAIRS, ALL_POINTS),
    TableSpec("tradeoff", "Own against cross accuracy", TRADEOFF_PAIRS, MAIN_POINTS, ("validation", "test")),
)


def find_table(name: str) -> TableSpec:
    """The table of that name. Raises UsageError for an unknown one."""
    for table in TABLES:
        if table.name == name:
            return table
    raise UsageError(f"unknown table {name!r}: expected one of {', '.join(table.name for table in TABLES)}")


def pairs_at(table: str, lam: float) -> tuple[Pair, ...]:
    """The table's pairs by the names that its models have in a run at this lambda."""
    return tuple((with_lambda(query, lam), with_lambda(gallery, lam)) for query, gallery in find_table(table).pairs)


@dataclass(frozen=True)
class Experiment:
    """Tables that one notebook measures from one set of models."""

    name: str
    tables: tuple[str, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every pair of every table, once."""
        return tuple(dict.fromkeys(pair for table in self.tables for pair in find_table(table).pairs))

    @property
    def models(self) -> tuple[str, ...]:
        """Every model of every pair, once."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in pair))


EXPERIMENTS = (
    Experiment("baselines", ("table1", "table2", "table8")),
    Experiment("tradeoff", ("tradeoff",)),
)


def find_experiment(table: str) -> Experiment:
    """The experiment that measures the table. Raises UsageError for an unknown table."""
    for experiment in EXPERIMENTS:
        if table in experiment.tables:
            return experiment
    raise UsageError(f"no experiment measures {table!r}")
