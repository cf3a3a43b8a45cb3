"""What can be reproduced: one entry per target. Adding a target is adding an entry here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bctlib.launcher.usage import unknown


@dataclass(frozen=True)
class Target:
    """One thing of the paper that one notebook makes.

    notebook: file name in notebooks/; paper: what of the paper this is; yields: what lies there afterwards (the first
    is printed); parameters: values for the notebook's parameters cell that belong to this target.
    """

    name: str
    notebook: str
    paper: str
    yields: tuple[str, ...]
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


_BASELINES = "01_baselines.ipynb"

TARGETS = (
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
        MappingProxyType({"tradeoff": True}),
    ),
)


def find_target(name: str) -> Target:
    """The target of this name, or UsageError that names the nearest."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise unknown("target", name, [target.name for target in TARGETS])
