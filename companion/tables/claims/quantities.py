"""What a claim is about: the accuracy of a pair of models, the highest of several, a feature of the backfill curve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from companion import backfill_curves
from companion.experiments import find_table
from companion.tables.cells import HEADLINE, PROTOCOLS, pair_text, power
from companion.tables.paper_numbers import paper_value

BySeed = dict[int, float]
NO_LOOKALIKES = " (no look-alikes)"
"""Ends the protocol's name in the second form; `companion.measure.templates.DISTINCT`, which would load torch."""


class Point(NamedTuple):
    """Where a model is measured, as the results write it."""

    protocol: str
    metric: str
    operating_point: str

    @property
    def label(self) -> str:
        """Short: `1:1`, `1:N`, or what is measured."""
        return PROTOCOLS[self.protocol][0] if self.protocol in PROTOCOLS else self.operating_point or self.metric

    @property
    def words(self) -> str:
        """`1:1 TAR@FAR=1e-4`."""
        if self.protocol in PROTOCOLS:
            return f"{self.label} {self.metric}={power(self.operating_point)}"
        return f"{self.metric}, {self.operating_point}".removesuffix(", ")

    @property
    def without_lookalikes(self) -> "Point | None":
        """The same without identities that have a close double, where there is such a form."""
        return self._replace(protocol=self.protocol + NO_LOOKALIKES) if self.protocol in PROTOCOLS else None

    def others_in(self, table: str) -> tuple["Point", ...]:
        """Every operating point of the same protocol in a table of results, this one among them."""
        metrics = {"verification": ("TAR@FAR",), "identification": ("TPIR@FPIR", "rank")}.get(self.protocol, ())
        points = find_table(table).points if metrics else {}
        return tuple(Point(self.protocol, metric, each) for metric in metrics for each in points.get(metric, ()))


VERIFICATION = Point("verification", "TAR@FAR", HEADLINE["TAR@FAR"])
IDENTIFICATION = Point("identification", "TPIR@FPIR", HEADLINE["TPIR@FPIR"])
BOTH = (VERIFICATION, IDENTIFICATION)
REID = (Point("reid", "mAP", ""),)
STRICT = tuple(Point("strict criterion", "constraints kept", kind) for kind in ("different", "same"))
BACKFILL = (Point(backfill_curves.STANDARD, backfill_curves.STRICT, "curve"),)

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
        """What has to be measured for it."""

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        """Its value for every seed that has it; empty where nothing was measured."""

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
        curves = [backfill_curves.curve_name(point.protocol, order) for order in backfill_curves.RANDOM_ORDERS]
        points = [[Point(curve, point.metric, x) for x in backfill_curves.PER_CENT] for curve in curves]
        values = [[self.accuracy.by_seed(lookup, each) for each in order] for order in points]
        seeds = set.intersection(*(set(each) for order in values for each in order))
        return {
            seed: float(self.feature(np.mean([[each[seed] for each in order] for order in values], axis=0)))
            for seed in sorted(seeds)
        }

    def paper(self, point: Point) -> float | None:
        """None: the paper draws the curve and prints no number of it."""
        return None


def _largest_fall(curve: np.ndarray) -> float:
    return float(np.max(np.maximum.accumulate(curve) - curve))


def _largest_bend(curve: np.ndarray) -> float:
    rise = curve[-1] - curve[0]
    return float(100 * np.max(np.abs(curve - np.linspace(curve[0], curve[-1], len(curve)))) / abs(rise))


def rise(accuracy: Accuracy) -> OfCurve:
    """Points from nothing to everything backfilled."""
    return OfCurve("rise over the backfill", lambda curve: curve[-1] - curve[0], accuracy)


def largest_fall(accuracy: Accuracy) -> OfCurve:
    """Points by which the curve ever lies below an earlier value of its own: 0 where it is monotone."""
    return OfCurve("largest fall along the backfill", _largest_fall, accuracy)


def largest_bend(accuracy: Accuracy) -> OfCurve:
    """Largest distance from the straight line between the curve's ends, in per cent of its rise."""
    return OfCurve("largest distance from a straight line, % of the rise,", _largest_bend, accuracy)
