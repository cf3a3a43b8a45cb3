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


TARGETS = (
    Target(
        "table1",
        "01_baselines.ipynb",
        "Table 1: BCT, l2 and the paragon, 1:1 verification and 1:N identification",
        ("Table 1", "figure tradeoff: own against cross accuracy over lambda"),
    ),
    Target(
        "table2",
        "01_baselines.ipynb",
        "Table 2: what else was tried (LwF, BCT-kd, BCT-sys), from the models of Table 1",
        ("Table 2",),
    ),
    Target(
        "table8",
        "01_baselines.ipynb",
        "Table 8: every operating point of the models of Tables 1 and 2",
        ("Table 8",),
    ),
)


def find_target(name: str) -> Target:
    """The target of this name, or UsageError that names the nearest."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise unknown("target", name, [target.name for target in TARGETS])
