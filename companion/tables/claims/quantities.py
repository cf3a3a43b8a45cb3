"""The quantities that claims are about, and the tests that decide a claim.

A quantity is the accuracy of a pair of models, the highest of several, or a feature of the backfill curve. A test says
on which side of a bound a quantity, or a difference of two, should lie. Differences are paired by seed, so that the
variation of shared parts (the old model, the data) does not widen the interval.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from companion import curves
from companion.experiments import find_table
from companion.results import DISTINCT
from companion.tables.cells import HEADLINE, PROTOCOLS, pair_text, paper_value, power, signed_gain

BySeed = dict[int, float]


class Point(NamedTuple):
    """The protocol, metric and operating point of a measurement, as the results write them."""

    protocol: str
    metric: str
    operating_point: str

    @property
    def label(self) -> str:
        """Short: `1:1`, `1:N`, or the name of the measure."""
        return PROTOCOLS[self.protocol][0] if self.protocol in PROTOCOLS else self.operating_point or self.metric

    @property
    def words(self) -> str:
        """`1:1 TAR@FAR=1e-4`."""
        if self.protocol in PROTOCOLS:
            return f"{self.label} {self.metric}={power(self.operating_point)}"
        return f"{self.metric}, {self.operating_point}".removesuffix(", ")

    @property
    def without_lookalikes(self) -> "Point | None":
        """The same without identities that look almost like another; None if there is no such measurement."""
        return self._replace(protocol=self.protocol + DISTINCT) if self.protocol in PROTOCOLS else None

    def others_in(self, table: str) -> tuple["Point", ...]:
        """Every operating point of the same protocol in a table of results, including this one."""
        metrics = {"verification": ("TAR@FAR",), "identification": ("TPIR@FPIR", "rank")}.get(self.protocol, ())
        points = find_table(table).points if metrics else {}
        return tuple(Point(self.protocol, metric, each) for metric in metrics for each in points.get(metric, ()))


VERIFICATION = Point("verification", "TAR@FAR", HEADLINE["TAR@FAR"])
IDENTIFICATION = Point("identification", "TPIR@FPIR", HEADLINE["TPIR@FPIR"])
BOTH = (VERIFICATION, IDENTIFICATION)
REID = (Point("reid", "mAP", ""),)
STRICT = tuple(Point("strict criterion", "constraints kept", kind) for kind in ("different", "same"))
BACKFILL = (Point(curves.STANDARD, curves.STRICT, "curve"),)

Cells = Mapping[tuple[str, ...], BySeed]
"""Values by seed of one table, by (query model, gallery model, protocol, metric, operating point)."""
Lookup = Callable[[str], Cells]
"""The cells of a table by its name."""


class Quantity(Protocol):
    """A number per seed, in per cent."""

    @property
    def words(self) -> str: ...

    @property
    def accuracies(self) -> tuple["Accuracy", ...]:
        """The accuracies that must be measured for it."""

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        """Its value for every measured seed; empty if nothing was measured."""

    def paper(self, point: Point) -> float | None:
        """The same from the paper's printed numbers."""


@dataclass(frozen=True)
class Accuracy:
    """M(query, gallery) in a table of results."""

    table: str
    query: str
    gallery: str

    @property
    def words(self) -> str:
        return pair_text((self.query, self.gallery))

    @property
    def accuracies(self) -> tuple["Accuracy", ...]:
        return (self,)

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        return lookup(self.table).get((self.query, self.gallery, *point), {})

    def paper(self, point: Point) -> float | None:
        return paper_value(self.table, self.query, self.gallery, *point)


@dataclass(frozen=True)
class Highest:
    """The highest of several accuracies, seed by seed."""

    accuracies: tuple[Accuracy, ...]

    @property
    def words(self) -> str:
        return f"highest of {', '.join(each.words for each in self.accuracies)}"

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        all_values = [each.by_seed(lookup, point) for each in self.accuracies]
        seeds = set.intersection(*map(set, all_values))
        return {seed: max(values[seed] for values in all_values) for seed in sorted(seeds)}

    def paper(self, point: Point) -> float | None:
        printed = [each.paper(point) for each in self.accuracies]
        return None if None in printed else max(printed)


@dataclass(frozen=True)
class GainStep:
    """Update gain (Eq. 9) of (query, old) at a strict operating point less that at a loose one of the same protocol.

    In points of per cent, per seed; a seed in which the paragon does not beat the old model has none. points: strict
    and loose point of each metric.
    """

    table: str
    query: str
    points: Mapping[str, tuple[str, str]]

    @property
    def words(self) -> str:
        return f"update gain of {pair_text((self.query, 'old'))} at the strict point less that at the loose one"

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        return tuple(Accuracy(self.table, *pair) for pair in ((self.query, "old"), ("old", "old"), ("new*", "new*")))

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        strict, loose = (
            [each.by_seed(lookup, point._replace(operating_point=at)) for each in self.accuracies]
            for at in self.points[point.metric]
        )
        seeds = set.intersection(*map(set, strict + loose))
        gains = {seed: [signed_gain(*(each[seed] for each in at)) for at in (strict, loose)] for seed in sorted(seeds)}
        return {seed: float(at[0] - at[1]) for seed, at in gains.items() if None not in at}

    def paper(self, point: Point) -> float | None:
        found = []
        for at in self.points[point.metric]:
            printed = [each.paper(point._replace(operating_point=at)) for each in self.accuracies]
            found.append(None if None in printed else signed_gain(*printed))
        return None if None in found else found[0] - found[1]


@dataclass(frozen=True)
class OfCurve:
    """A feature of the curve of Fig. 3, per seed: the mean over the random orders of backfill."""

    name: str
    feature: Callable[[np.ndarray], float]
    accuracy: Accuracy

    @property
    def words(self) -> str:
        return f"{self.name} of {self.accuracy.words}"

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        return (self.accuracy,)

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        names = [curves.curve_name(point.protocol, order) for order in curves.RANDOM_ORDERS]
        points = [[Point(curve, point.metric, x) for x in curves.PER_CENT] for curve in names]
        values = [[self.accuracy.by_seed(lookup, each) for each in order] for order in points]
        seeds = set.intersection(*(set(each) for order in values for each in order))
        return {
            seed: float(self.feature(np.mean([[each[seed] for each in order] for order in values], axis=0)))
            for seed in sorted(seeds)
        }

    def paper(self, point: Point) -> float | None:
        """None, because the paper draws the curve and prints no number of it."""
        return None


def _largest_fall(curve: np.ndarray) -> float:
    return float(np.max(np.maximum.accumulate(curve) - curve))


def _largest_bend(curve: np.ndarray) -> float:
    rise = curve[-1] - curve[0]
    return float(100 * np.max(np.abs(curve - np.linspace(curve[0], curve[-1], len(curve)))) / abs(rise))


def rise(accuracy: Accuracy) -> OfCurve:
    """Gain in points from nothing to everything backfilled."""
    return OfCurve("rise over the backfill", lambda curve: curve[-1] - curve[0], accuracy)


def largest_fall(accuracy: Accuracy) -> OfCurve:
    """Largest distance in points below an earlier value of the curve: 0 if the curve is monotone."""
    return OfCurve("largest fall along the backfill", _largest_fall, accuracy)


def largest_bend(accuracy: Accuracy) -> OfCurve:
    """Largest distance from the straight line between the curve's ends, in per cent of its rise."""
    return OfCurve("largest distance from a straight line, % of the rise,", _largest_bend, accuracy)


@dataclass(frozen=True)
class Comparison:
    """effect = left (minus right). above: the claim is `effect > bound`; otherwise its negation, at most the bound."""

    left: Quantity
    right: Quantity | None
    above: bool
    bound: float = 0.0

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        return self.left.accuracies + (self.right.accuracies if self.right else ())

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of results it reads, each once."""
        return tuple(dict.fromkeys(each.table for each in self.accuracies))

    @property
    def words(self) -> str:
        sign, size = (">" if self.above else "≤"), f"{abs(self.bound):g}"
        if self.right is None:
            return f"{self.left.words} {sign} {'-' if self.bound < 0 else ''}{size}"
        shift = f" {'+' if self.bound > 0 else '−'} {size}" if self.bound else ""
        return f"{self.left.words} {sign} {self.right.words}{shift}"

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        """The effect for every seed that is measured on both sides."""
        left = self.left.by_seed(lookup, point)
        if self.right is None:
            return left
        right = self.right.by_seed(lookup, point)
        return {seed: left[seed] - right[seed] for seed in sorted(left) if seed in right}

    def paper(self, point: Point) -> float | None:
        """The effect in the paper's printed numbers, None if it prints none."""
        printed = [side.paper(point) for side in (self.left, self.right) if side]
        return None if None in printed else printed[0] - sum(printed[1:])

    def met_by(self, effect: float) -> bool:
        """Whether one number, without an interval, lies on the side claimed."""
        return (effect > self.bound) == self.above


def exceeds(a: Quantity, b: Quantity) -> Comparison:
    """a > b, strictly as in Eq. 2."""
    return Comparison(a, b, above=True)


def falls_short(a: Quantity, b: Quantity) -> Comparison:
    """a ≤ b: not `exceeds`."""
    return Comparison(a, b, above=False)


def within(a: Quantity, b: Quantity, points: float) -> Comparison:
    """a > b - points: a is less than `points` points worse than b."""
    return Comparison(a, b, above=True, bound=-points)


def at_most(a: Quantity, limit: float) -> Comparison:
    """a ≤ limit."""
    return Comparison(a, None, above=False, bound=limit)


def more_than(a: Quantity, limit: float) -> Comparison:
    """a > limit."""
    return Comparison(a, None, above=True, bound=limit)


def satisfies_eq_2(pair: Accuracy) -> Comparison:
    """M(new, old) > M(old, old)."""
    return exceeds(pair, Accuracy(pair.table, pair.gallery, pair.gallery))


def fails_eq_2(pair: Accuracy) -> Comparison:
    """M(new, old) ≤ M(old, old)."""
    return falls_short(pair, Accuracy(pair.table, pair.gallery, pair.gallery))
