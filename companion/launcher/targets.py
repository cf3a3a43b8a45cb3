"""The words of `./reproduce.sh`: one entry per target, which names the tables (`companion.experiments`) that it makes.

Targets and tables are separate because they are not one to one: a target may make several tables (fig3) or none (tour,
claims), two may share one (table4, fig2), and it has a notebook, parameters and extra models of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bctlib.base.errors import unknown
from bctlib.models import with_lambda
from companion.experiments import find_experiment


@dataclass(frozen=True)
class Target:
    """One thing of the paper that one notebook makes.

    notebook: file name in notebooks/; paper: what of the paper this is; yields: what lies there afterwards;
    tables: what is measured and then shown, the target's own name unless given; also: what is shown besides; models:
    those that the notebook uses besides those of its tables; parameters: values for the notebook's parameters cell
    that belong to this target. in_all: whether `all` makes it too. optional: whether the notebook measures its table
    only where the parameter of the same name is true.
    """

    name: str
    notebook: str
    paper: str
    yields: tuple[str, ...]
    tables: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    in_all: bool = True
    optional: bool = False

    @property
    def measured(self) -> tuple[str, ...]:
        """The tables of results that an experiment makes for it."""
        return (self.name,) if self.tables is None else self.tables

    @property
    def shown(self) -> tuple[str, ...]:
        """Everything that it prints when it is done."""
        return self.measured + self.also

    @property
    def task(self) -> str:
        """Whose data it needs at paper scale: "faces" or "persons"."""
        return find_experiment(self.measured[0]).task if self.measured else "faces"

    def trained(self, parameters: Mapping[str, object]) -> tuple[str, ...]:
        """Every model that its notebook needs in a run with these parameters, by its name at their lambda, once.

        parameters: of the notebook; what is left out is taken from the target. A notebook runs whole, so the models of
        its other targets belong to it, the optional ones where they are asked for. Old models that only others are
        trained against are not listed.
        """
        given = {**self.parameters, **parameters}
        lam, names = given.get("lam", 1.0), []
        for target in (each for each in TARGETS if each.notebook == self.notebook):
            if not target.optional or given.get(target.name):
                names += [name for table in target.measured for name in find_experiment(table).models_at(lam)]
                names += [with_lambda(name, lam) for name in target.models]
        return tuple(dict.fromkeys(names))


_TOUR = "00_tour.ipynb"
_BASELINES = "01_baselines.ipynb"
_ROBUSTNESS = "02_robustness.ipynb"
_CHAIN = "03_chain.ipynb"
_REID = "04_reid.ipynb"
_CLAIMS = "06_claims.ipynb"
_FOLLOW_UPS = "09_followups.ipynb"

TARGETS = (
    Target(
        "tour",
        _TOUR,
        "Figure 1 and Table 6: the idea in five minutes",
        ("figures of the update, a small gallery, what is retrieved from it, and the training signal",),
        tables=(),
        models=("old", "new*", "new-bct-sys"),
    ),
    Target(
        "table1",
        _BASELINES,
        "Table 1: independent, l2, LwF and BCT models against the old gallery, 1:1 and 1:N",
        ("Table 1", "figures of the data, of Table 1 and of the score distributions"),
    ),
    Target(
        "table2",
        _BASELINES,
        "Table 2: does BCT cost the new model's own accuracy?",
        ("Table 2",),
    ),
    Target(
        "table8",
        _BASELINES,
        "Table 8: every operating point of Table 1",
        ("Table 8",),
    ),
    Target(
        "tradeoff",
        _BASELINES,
        "not in the paper: own against cross accuracy of l2 and BCT over lambda",
        ("accuracies at each lambda", "figure tradeoff_own_cross"),
        parameters=MappingProxyType({"tradeoff": True}),
        optional=True,
        in_all=False,
    ),
    Target(
        "table3",
        _ROBUSTNESS,
        "Table 3: deeper networks, other dimensions, ReLU, other heads",
        ("Table 3", "figures of Table 3 and of the coordinates of embeddings"),
        models=("new-bct",),
    ),
    Target(
        "table7",
        _ROBUSTNESS,
        "Table 7: every operating point of Table 3, and old models on 25 % and 90 % of the data",
        ("Table 7",),
    ),
    Target(
        "stronger",
        _ROBUSTNESS,
        "not in the paper: BCT bound more strongly, where it fails Eq. 2 at lambda 1",
        ("accuracies at lambda 10, and with sys",),
        parameters=MappingProxyType({"stronger": True}),
        optional=True,
        in_all=False,
    ),
    Target(
        "identities",
        _ROBUSTNESS,
        "not in the paper: how many identities BCT needs, and whether classes or images matter",
        ("update gain against the number of old classes", "figure identities"),
        parameters=MappingProxyType({"identities": True}),
        optional=True,
        in_all=False,
    ),
    Target(
        "table4",
        _CHAIN,
        "Table 4: three versions, each compatible with the one before",
        ("Table 4", "figures of the chain"),
    ),
    Target("table9", _CHAIN, "Table 9: every operating point of Table 4", ("Table 9",)),
    Target(
        "fig2",
        _CHAIN,
        "Figure 2: the chain with the accuracies on its arrows",
        ("figure fig2_chain",),
        tables=("table4",),
    ),
    Target(
        "long_chain",
        _CHAIN,
        "not in the paper: a chain of six versions",
        ("accuracy of every version against every gallery", "figure long_chain"),
        parameters=MappingProxyType({"long_chain": True}),
        optional=True,
    ),
    Target(
        "table5",
        _REID,
        "Table 5: re-identification, in both directions",
        ("Table 5", "figures of Table 5 and of queries with their best images"),
    ),
    Target(
        "fig3",
        "05_partial_backfill.ipynb",
        "Figure 3: accuracy while the gallery is backfilled, and in which order to do it",
        (
            "accuracies on the way, of each order and of other practices",
            "figures fig3_backfill, fig3_orders and backfill_practices",
        ),
        tables=("fig3", "backfill_orders"),
    ),
    Target(
        "upgrade",
        "07_live_upgrade.ipynb",
        "not in the paper: a search index that stays in service while the model changes",
        ("accuracy, memory, latency and cost at each step of an upgrade", "figure live_upgrade"),
    ),
    Target(
        "maps",
        "08_without_training.ipynb",
        "not in the paper: new queries led into the old space by a map, without training and on top of it",
        ("accuracy with each map, and over the number of pairs", "figure maps"),
    ),
    Target(
        "followups",
        _FOLLOW_UPS,
        "not in the paper: published methods after it, on the same bench",
        ("accuracies, area under the backfill curve and needs of each method", "figure followups"),
    ),
    Target(
        "followup_weights",
        _FOLLOW_UPS,
        "not in the paper: the methods after the paper over the weight of what binds new to old",
        ("accuracies at each weight",),
        parameters=MappingProxyType({"followup_weights": True}),
        optional=True,
        in_all=False,
    ),
    Target(
        "grandparents",
        _FOLLOW_UPS,
        "not in the paper: third versions by each method against the first, which they never met",
        ("accuracies against both older versions",),
        parameters=MappingProxyType({"grandparents": True}),
        optional=True,
        in_all=False,
    ),
    Target(
        "claims",
        _CLAIMS,
        "every claim of the paper: the test that decides it, and its verdict here",
        ("the ledger", "figure claims"),
        tables=(),
        also=("claims",),
    ),
)


def find_target(name: str) -> Target:
    """The target of this name, or UsageError that names the nearest."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise unknown("target", name, [target.name for target in TARGETS])
