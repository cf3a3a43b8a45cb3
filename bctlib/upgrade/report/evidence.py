"""The evidence beside the verdict.

* Flips: searches that were right at rank 1 and are wrong after the upgrade, and the reverse.
* Retrievals that the upgrade changes most: mates gained and mates lost.
* Accuracy of new queries while the gallery is backfilled class by class, in random orders (Appendix B, Fig. 3).
* Classes that the upgrade makes worse: a model that is better on average may be worse for some.
* Distributions of genuine and impostor scores for each pair of models.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, false_discovery_control

from bctlib.base import progress
from bctlib.metrics.backfill import backfill_searches, random_order, tpir_along
from bctlib.metrics.blocks import matching_pairs
from bctlib.metrics.verification import pair_scores
from bctlib.upgrade.evaluate.comparisons import Comparison
from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.resampling import Interval, interval, weighted_mean
from bctlib.upgrade.report.searches import Searches

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


@dataclass(frozen=True)
class Flips:
    """Shares, from 0 to 1, of the n searches with a mate, old/old against new/old, right meaning a mate at rank 1.

    lost: right before and wrong after; won: wrong before and right after. won - lost is the difference of rank 1.
    """

    n_searches: int
    lost: Interval
    won: Interval

    def as_dict(self) -> dict:
        """Plain types; intervals by name."""
        return {"n_searches": self.n_searches, "lost": self.lost._asdict(), "won": self.won._asdict()}

    def sentence(self) -> str:
        """Both shares with their intervals, in words."""
        lost, won = (f"{100 * each.value:.2f} % ({100 * each.low:.2f} to {100 * each.high:.2f})"
                     for each in (self.lost, self.won))  # fmt: skip
        return (
            f"Of {self.n_searches:,} searches with something to find, {lost} were right at rank 1 and become wrong, "
            f"and {won} were wrong and become right."
        )


def flips(before: Searches, after: Searches, inputs: Inputs, weights: np.ndarray) -> Flips:
    """Flips between two systems; weights uint8 [c, b] of classes, those of the other intervals."""
    mated = before.mated
    right, stays = before.rank[mated] == 1, after.rank[mated] == 1
    shares = [
        interval(outcome.mean(), weighted_mean(weights, inputs.query_class[mated], outcome))
        for outcome in (right & ~stays, ~right & stays)
    ]
    return Flips(int(mated.sum()), *shares)


POINTS = 21
MOST_ORDERS, FEWEST_ORDERS = 20, 5
OPERATIONS = 5e11
"""Floating-point operations to spend where no number of orders is given: about ten seconds on one core."""


@dataclass(frozen=True)
class BackfillBand:
    """One measure along the backfill. share [p]: of the gallery's classes, 0 to 1. mean, low, high [p]: over orders.

    low and high hold the middle 95 % of the random orders.
    """

    metric: str
    point: float
    share: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def affordable_orders(inputs: Inputs) -> int:
    """The number of random orders, 5 to 20, that takes a reasonable time."""
    (q, d), n = inputs.sides.query.array.shape, len(inputs.gallery_class)
    return int(np.clip(OPERATIONS / (4.0 * q * n * d), FEWEST_ORDERS, MOST_ORDERS))


def backfill_bands(inputs: Inputs, fpir: list[float], orders: int, seed: int) -> list[BackfillBand]:
    """TPIR at each FPIR, or rank 1 where there are none; empty without the new model's gallery features."""
    if inputs.sides.new_gallery is None:
        return []
    new, old = inputs.sides.query.array, inputs.sides.gallery.array
    names = np.unique(inputs.gallery_class)
    curves = []
    with progress.task("backfill in random orders", orders, unit="order", every_s=10) as task:
        for number in range(orders):
            found = backfill_searches(
                new, inputs.query_class, old, inputs.sides.new_gallery.array, inputs.gallery_class,
                random_order(names, [seed, number]), POINTS, inputs.itself,
            )  # fmt: skip
            first = (found.mate > found.best_other)[found.mated].mean(axis=0)
            curves.append(tpir_along(found, fpir) if fpir else first[:, None])
            task.step(number + 1)
    along = np.array(curves)  # [orders, points, measures]
    bands = []
    for column, (metric, point) in enumerate([("TPIR", rate) for rate in fpir] or [("rank", 1)]):
        spread = [interval(each.mean(), each) for each in along[:, :, column].T]
        low, high = ([float(getattr(each, name)) for each in spread] for name in ("low", "high"))
        bands.append(BackfillBand(metric, point, found.share.tolist(), [each.value for each in spread], low, high))
    return bands


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


EDGES = np.linspace(-1, 1, 101)
MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class ScoreHistogram:
    """Shares [100] of n pairs of one kind ("genuine", "impostor") whose cosine lies between neighbouring `EDGES`."""

    query_model: str
    gallery_model: str
    kind: str
    n_pairs: int
    mean: float
    share: list[float]


def draw_pairs(inputs: Inputs, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows of query and gallery of genuine and of impostor pairs: all of them, or a draw of a million."""
    rng = np.random.default_rng([seed, 1])
    wanted, enrolled = inputs.query_class, inputs.gallery_class
    rows, columns = matching_pairs(wanted, enrolled)
    valid = np.flatnonzero(rows != columns) if inputs.one_list else np.arange(len(rows))
    if len(valid) > MOST_PAIRS:
        valid = np.sort(rng.choice(valid, MOST_PAIRS, replace=False))
    n = len(wanted) * len(enrolled)
    number = np.arange(n) if n <= MOST_PAIRS else np.sort(rng.integers(n, size=MOST_PAIRS))
    first, second = number // len(enrolled), number % len(enrolled)
    strangers = wanted[first] != enrolled[second]
    return {"genuine": (rows[valid], columns[valid]), "impostor": (first[strangers], second[strangers])}


def histograms(comparison: Comparison, drawn: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[ScoreHistogram]:
    """Of one comparison (of one width), over the pairs of `draw_pairs`."""
    found = []
    for kind, (rows, columns) in drawn.items():
        scores = pair_scores(comparison.query, rows, comparison.gallery, columns)
        counts, _ = np.histogram(np.clip(scores, -1, 1), EDGES)
        found.append(
            ScoreHistogram(*comparison.models, kind, len(scores), float(scores.mean()), (counts / len(scores)).tolist())
        )
    return found
