"""Classes that the upgrade makes worse: a model that is better on average may be worse for some."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, false_discovery_control

from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.searches import Searches

DISCOVERY_RATE = 0.05
BETTER, WORSE, SAME = "better", "worse", "same"


@dataclass(frozen=True)
class ClassChange:
    """One class, old/old against new/old, over its queries that have a mate.

    reciprocal_old, reciprocal_new: mean reciprocal rank of the best mate; rank1_old, rank1_new: share found at rank 1.
    n_better, n_worse: queries whose mate rises or falls. p: two-sided sign test over these; q: the same after
    Benjamini and Hochberg over the classes that can be tested, 1 for the others. change: of the mean reciprocal rank
    (better, worse, same). beyond_chance: q is at most 5 %, and the direction is that of `change`.
    """

    name: str
    n_queries: int
    reciprocal_old: float
    reciprocal_new: float
    rank1_old: float
    rank1_new: float
    n_better: int
    n_worse: int
    p: float
    q: float
    change: str
    beyond_chance: bool


def class_changes(before: Searches, after: Searches, inputs: Inputs) -> list[ClassChange]:
    """Every class with a mated query, the worst change first.

    The sign test counts queries whose mate's rank rose against those whose fell. With five or fewer of them its p
    cannot reach 5 %: such classes are not tested. Queries of a class share its gallery
    images and are not quite independent, so it says where to look first rather than proves harm.
    """
    mated = before.mated
    of = inputs.query_class[mated]
    present, code = np.unique(of, return_inverse=True)
    n = np.bincount(code)
    better = np.bincount(code, after.rank[mated] < before.rank[mated]).astype(int)
    worse = np.bincount(code, after.rank[mated] > before.rank[mated]).astype(int)
    moved = better + worse
    p = np.where(moved > 0, np.minimum(1.0, 2 * binom.cdf(np.minimum(better, worse), moved, 0.5)), 1.0)
    q = np.ones(len(p))
    testable = 0.5 ** (moved - 1.0) <= DISCOVERY_RATE
    if testable.any():
        q[testable] = false_discovery_control(p[testable], method="bh")
    means = [
        np.bincount(code, values[mated]) / n
        for each in (before, after)
        for values in (each.reciprocal_rank, each.rank == 1)
    ]
    change = means[2] - means[0]
    significant = (q <= DISCOVERY_RATE) & (np.sign(better - worse) == np.sign(change)) & (change != 0)
    changes = [
        ClassChange(
            str(inputs.classes[present[at]]), int(n[at]), *(float(means[k][at]) for k in (0, 2, 1, 3)),
            int(better[at]), int(worse[at]), float(p[at]), float(q[at]),
            BETTER if change[at] > 0 else WORSE if change[at] < 0 else SAME, bool(significant[at]),
        )
        for at in range(len(present))
    ]  # fmt: skip
    return sorted(changes, key=lambda each: (each.reciprocal_new - each.reciprocal_old, each.name))


def worse_sentence(changes: list[ClassChange], named: int = 3) -> list[str]:
    """A sentence on the classes that get worse beyond chance; empty if there are none."""
    names = [each.name for each in changes if each.beyond_chance and each.change == WORSE]
    if not names:
        return []
    listed = ", ".join(names[:named]) + (f" and {len(names) - named:,} more" if len(names) > named else "")
    return [f"{len(names):,} class{'es get' if len(names) > 1 else ' gets'} worse beyond chance: {listed}."]
