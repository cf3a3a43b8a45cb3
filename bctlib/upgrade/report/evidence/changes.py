"""Retrievals that the upgrade changes most: mates gained and mates lost."""

from dataclasses import dataclass

import numpy as np

from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.searches import Searches

SHOWN = 10
GAINED, LOST = "gained", "lost"


@dataclass(frozen=True)
class Answered:
    """One system's answer to one query: the gallery row at rank 1 with class, score and whether it is right; and the
    best mate's row, rank and score."""

    top_row: int
    top_class: str
    top_score: float
    right: bool
    mate_row: int
    mate_rank: int
    mate_score: float


@dataclass(frozen=True)
class Change:
    """One query, answered from the old gallery by the old model and by the new one. kind: gained or lost."""

    kind: str
    query_row: int
    query_class: str
    old: Answered
    new: Answered


def telling_changes(before: Searches, after: Searches, inputs: Inputs, shown: int = SHOWN) -> list[Change]:
    """Half gained and half lost if there are enough of each, the largest change of the mate's rank first.

    Ranks are compared by logarithm (1 to 4 is as far as 100 to 400); ties are ordered by the score's lead over the best
    image of another class. One query per class while there are enough classes. Only changes of the rank count.
    """
    mated = np.flatnonzero(before.mated)
    size = np.log(after.rank[mated] / before.rank[mated])
    lead = (after.mate - after.other)[mated] - (before.mate - before.other)[mated]
    lists = {GAINED: mated[np.lexsort((-lead, size))], LOST: mated[np.lexsort((lead, -size))]}
    moved = {GAINED: after.rank < before.rank, LOST: after.rank > before.rank}
    ordered = {kind: _one_a_class([q for q in lists[kind] if moved[kind][q]], inputs, shown) for kind in lists}
    half = shown // 2
    n_gained = min(len(ordered[GAINED]), max(half, shown - len(ordered[LOST])))
    take = {GAINED: n_gained, LOST: min(len(ordered[LOST]), shown - n_gained)}
    return [
        Change(
            kind, int(query), str(inputs.classes[inputs.query_class[query]]),
            _answered(before, int(query), inputs), _answered(after, int(query), inputs),
        )
        for kind in (GAINED, LOST)
        for query in ordered[kind][: take[kind]]
    ]  # fmt: skip


def _one_a_class(queries: list[int], inputs: Inputs, n: int) -> list[int]:
    """The first of each class in order, then the others in order; at most n."""
    seen: set[int] = set()
    first, others = [], []
    for query in queries:
        of = int(inputs.query_class[query])
        (others if of in seen else first).append(query)
        seen.add(of)
        if len(first) == n:
            break
    return (first + others)[:n]


def _answered(found: Searches, query: int, inputs: Inputs) -> Answered:
    top = int(found.top_row[query])
    return Answered(
        top, str(inputs.classes[inputs.gallery_class[top]]), float(max(found.mate[query], found.other[query])),
        bool(found.rank[query] == 1), int(found.mate_row[query]), int(found.rank[query]), float(found.mate[query]),
    )  # fmt: skip
