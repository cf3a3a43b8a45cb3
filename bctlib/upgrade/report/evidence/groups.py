"""Groups of classes (a country, a camera, an age): which of them the upgrade serves worse."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.text_lines import rows_of_text
from bctlib.data.photos.class_names import composed
from bctlib.upgrade.report.evidence.classes import BETTER, WORSE
from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.resampling import Interval, interval, weighted_mean
from bctlib.upgrade.report.measured.searches import Searches
from bctlib.upgrade.report.verdict import FEW_IDENTITIES, UNDECIDED

HEADER = ["class", "group"]
NO_GROUP = "(no group)"


@dataclass(frozen=True)
class GroupChange:
    """One group over its mated queries; shares found at rank 1, 0 to 1.

    own: of old/old; cross: of new/old; difference: cross - own. lost: right before and wrong after; won: the reverse.
    change: better or worse where the interval of the difference excludes zero, else undecided; undecided too with
    fewer than FEW_IDENTITIES classes.
    """

    name: str
    n_classes: int
    n_queries: int
    own: Interval
    cross: Interval
    difference: Interval
    lost: Interval
    won: Interval
    change: str

    def as_dict(self) -> dict:
        """Plain types; intervals by name."""
        spans = ("own", "cross", "difference", "lost", "won")
        return asdict(self) | {name: getattr(self, name)._asdict() for name in spans}


def read_groups(source: Mapping[str, str] | str | Path) -> dict[str, str]:
    """The group of each class, from a CSV file with the header `class,group`; a mapping is taken as it is.

    Raises BctError naming the file and line of another header, a line without two fields, or a class in two groups.
    """
    if isinstance(source, Mapping):
        return {composed(str(name)): str(group) for name, group in source.items()}
    groups: dict[str, str] = {}
    rows = csv.reader(rows_of_text(source, "CSV with the header class,group"))
    try:
        lines = [(rows.line_num, row) for row in rows if row]
    except csv.Error as error:
        raise BctError(f"{source}, line {rows.line_num}: {error}; expected a class and its group") from error
    if not lines or lines[0][1] != HEADER:
        raise BctError(f"{source}, line 1: expected the header class,group")
    for number, row in lines[1:]:
        if len(row) != 2 or not all(each.strip() for each in row):
            raise BctError(f"{source}, line {number}: expected a class and its group, found {','.join(row)!r}")
        name, group = composed(row[0].strip()), row[1].strip()
        if groups.setdefault(name, group) != group:
            raise BctError(f"{source}, line {number}: class {name!r} is in group {groups[name]!r} already")
    return groups


def codes_of_groups(groups: dict[str, str], inputs: Inputs, label: str) -> tuple[list[str], np.ndarray]:
    """The names of the groups, sorted, and the group of each class, int64 [c]; classes in none form the last group.

    Raises BctError where no class of the queries has a group.
    """
    of_class = [groups.get(composed(str(name))) for name in inputs.classes]
    names = sorted({group for group in of_class if group is not None})
    searched = np.unique(inputs.query_class)
    if all(of_class[code] is None for code in searched):
        raise BctError(f"{label} names no class of the queries, such as {str(inputs.classes[searched[0]])!r}")
    number = {name: at for at, name in enumerate(names)}
    return [*names, NO_GROUP], np.array([number.get(group, len(names)) for group in of_class])


def group_changes(
    before: Searches, after: Searches, inputs: Inputs, names: list[str], group: np.ndarray, weights: np.ndarray
) -> list[GroupChange]:
    """Every group with a mated query, the worst difference first.

    before, after: searches of old/old and new/old. names, group: as `codes_of_groups` gives them. weights: uint8
    [c, b] of classes. A resample that draws no class of a group does not count for it.
    """
    of, right, stays = inputs.query_class[before.mated], before.rank[before.mated] == 1, after.rank[before.mated] == 1
    found = []
    for code, name in enumerate(names):
        members = group[of] == code
        if not members.any():
            continue
        was, now, classes = right[members], stays[members], of[members]
        n_classes = len(np.unique(classes))

        def share(outcome: np.ndarray, classes=classes) -> Interval:
            with np.errstate(invalid="ignore"):
                replicates = weighted_mean(weights, classes, outcome)
            return interval(outcome.mean(), replicates[np.isfinite(replicates)])

        difference = share(now.astype(float) - was)
        change = BETTER if difference.low > 0 else WORSE if difference.high < 0 else UNDECIDED
        found.append(
            GroupChange(
                name, n_classes, int(members.sum()), share(was), share(now), difference, share(was & ~now),
                share(~was & now), change if n_classes >= FEW_IDENTITIES else UNDECIDED,
            )
        )  # fmt: skip
    return sorted(found, key=lambda each: (each.difference.value, each.name))


def groups_sentence(changes: list[GroupChange]) -> list[str]:
    """A sentence on who gets worse; empty without groups."""
    if not changes:
        return []
    worse = [each for each in changes if each.change == WORSE]
    if not worse:
        return [f"None of the {len(changes):,} groups gets worse beyond doubt at rank 1."]
    said = ", ".join(
        f"{each.name} (from {100 * each.own.value:.2f} to {100 * each.cross.value:.2f} %)" for each in worse
    )
    return [f"Of {len(changes):,} groups, {len(worse):,} get{'s' * (len(worse) == 1)} worse at rank 1: {said}."]
