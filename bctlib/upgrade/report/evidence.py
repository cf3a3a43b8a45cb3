"""The most telling retrievals that the upgrade changes: mates that are gained, and mates that are lost."""

from dataclasses import dataclass

import numpy as np

from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.searches import Searches

SHOWN = 10
GAINED, LOST = "gained", "lost"


@dataclass(frozen=True)
class Answered:
    """What one system answers to one query: the gallery row at rank 1, its class and score, whether that is right,
    and rank and score of the best mate with its row."""

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
    """Half gained and half lost where there are as many of each, the largest change of the mate's rank first.

    Rank counts by its logarithm (from 1 to 4 is as far as from 100 to 400); equal changes by the score's lead over the
    best stranger. One query a class, as long as there are enough classes. Changes of the rank only.
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
