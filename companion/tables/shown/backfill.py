"""Tables of partial backfill: accuracy along the curve, its straightness, and the early gain of each order.

A `Curve` has one row of values per seed; orders are averaged within a seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from companion.curves import (
    IMAGES,
    LARGEST,
    LEAST_CERTAIN,
    LONG_TAILED,
    LOOSE,
    RANDOM_ORDERS,
    SEARCHED_BY_SIZE,
    STANDARD,
    STRICT,
    TWO_THRESHOLDS,
    curve_name,
)
from companion.experiments import TableSpec, find_table
from companion.results import mean_and_half_width
from companion.tables.cells import DASH, Cell, View

Cells = Mapping[tuple[str, ...], Cell]


def cell_of(values: np.ndarray, seeds: Sequence[int]) -> Cell:
    """One value per seed as a mean with its 95 % interval."""
    mean, half = mean_and_half_width(values)
    return Cell(mean, half, tuple(map(float, values)), tuple(seeds))


@dataclass(frozen=True)
class Curve:
    """A quantity as a function of the per cent of classes that are backfilled.

    per_cent: float64 [p], rising from 0 to 100. values: float64 [seeds, p], in per cent.
    """

    per_cent: np.ndarray
    values: np.ndarray
    seeds: tuple[int, ...]

    @property
    def mean(self) -> np.ndarray:
        """float64 [p], over seeds."""
        return self.values.mean(axis=0)

    @property
    def half_width(self) -> np.ndarray:
        """float64 [p], half of the 95 % interval over seeds; zero for one seed, which has none."""
        return np.nan_to_num([mean_and_half_width(column)[1] for column in self.values.T])

    def less(self, cell: Cell) -> "Curve":
        """The difference to a cell, paired by seed: what both share, such as the test identities, cancels."""
        other = dict(zip(cell.seeds, cell.values, strict=True))
        shared = [number for number, seed in enumerate(self.seeds) if seed in other]
        seeds = tuple(self.seeds[number] for number in shared)
        return Curve(self.per_cent, self.values[shared] - [[other[seed]] for seed in seeds], seeds)

    @property
    def gain(self) -> Cell:
        """Last point minus first point."""
        return cell_of(self.values[:, -1] - self.values[:, 0], self.seeds)

    def at(self, per_cent: float, cost: "Curve | None" = None) -> Cell:
        """The value at this per cent of classes, or of another cost given as a curve over classes, paired by seed.

        Linear interpolation between measured points.
        """
        at = dict.fromkeys(self.seeds, self.per_cent)
        if cost is not None:
            at |= dict(zip(cost.seeds, cost.on(self.per_cent), strict=True))
        values = [np.interp(per_cent, at[seed], row) for seed, row in zip(self.seeds, self.values, strict=True)]
        return cell_of(np.array(values), self.seeds)

    def on(self, per_cent: np.ndarray) -> np.ndarray:
        """float64 [seeds, len(per_cent)], the values interpolated at other points."""
        return np.array([np.interp(per_cent, self.per_cent, row) for row in self.values])

    def gain_shares(self) -> "Curve | None":
        """The share of each seed's own gain that is reached, in per cent; None if a seed gains nothing."""
        gains = self.values[:, -1:] - self.values[:, :1]
        if (gains <= 0).any():
            return None
        return Curve(self.per_cent, 100 * (self.values - self.values[:, :1]) / gains, self.seeds)


def load_curve(cells: Cells, query: str, galleries: str, orders: Sequence[str], metric: str) -> Curve | None:
    """The curve of a query model on galleries embedded by the old model, mean over the orders.

    cells: from `View.cells`. metric: a TPIR, or IMAGES. None if it was not measured, for example because training
    diverged.
    """
    protocol = LONG_TAILED if metric == IMAGES and galleries == SEARCHED_BY_SIZE else galleries
    curves = []
    for order in orders:
        where = (query, "old", curve_name(protocol, order), metric)
        points = {float(key[-1]): cell for key, cell in cells.items() if key[:-1] == where}
        if not points:
            return None
        curves.append(dict(sorted(points.items())))
    seeds = sorted(set.intersection(*(set(cell.seeds) for points in curves for cell in points.values())))
    values = [
        [[dict(zip(cell.seeds, cell.values, strict=True))[seed] for cell in points.values()] for seed in seeds]
        for points in curves
    ]
    return Curve(np.array(list(curves[0])), np.mean(values, axis=0), tuple(seeds))


def own_accuracy(cells: Cells, model: str, galleries: str, metric: str) -> Cell:
    """Accuracy of a model on galleries that it embedded itself."""
    return cells[model, model, galleries, metric, "100"]


STOPS = (0, 10, 20, 50, 100)
FIRST = 10
"""Per cent of classes, or of images, after which orders are compared."""
ORDER_NAMES = {"random": RANDOM_ORDERS, LARGEST: (LARGEST,), LEAST_CERTAIN: (LEAST_CERTAIN,)}
RULES = {STRICT: "one threshold", TWO_THRESHOLDS: "a threshold per model"}
GALLERY_NAMES = {
    STANDARD: "standard galleries",
    LONG_TAILED: "long-tailed",
    SEARCHED_BY_SIZE: "long-tailed, searched by size",
}


def fig3_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table) of Fig. 3."""
    return [
        (f"{spec.heading}: TPIR@FPIR=1e-2 of new queries, % of classes backfilled in random order", along(view)),
        (
            f"{spec.heading}: does it rise steadily, in proportion, and to the paragon? FPIR=1e-2 unless said",
            steadiness(view),
        ),
    ]


def order_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table) of the orders of backfill, for each query model with one threshold and with one per model."""
    return [
        (f"{spec.heading}, {view.name(query)}, {rule}: share of the gain in TPIR@FPIR=1e-2, %", table)
        for query in ("new-bct", "new-bct-sys")
        for metric, rule in RULES.items()
        if (table := orders(query, view, metric)) is not None
    ]


def _curves(view: View, cells: Cells, rules: dict[str, str]) -> Iterator[tuple[str, str, Curve]]:
    """(name, metric, mean over random orders) of every query model that was measured, by each metric of `rules`."""
    queries = dict.fromkeys(query for query, gallery in find_table("fig3").pairs if query != gallery)
    for metric, rule in rules.items():
        for query in queries:
            if curve := load_curve(cells, query, STANDARD, RANDOM_ORDERS, metric):
                yield f"{view.name(query)}, {rule}", metric, curve


def along(view: View) -> pd.DataFrame:
    """TPIR@FPIR=1e-2 at some shares of classes backfilled, and the share from which it exceeds the old model's."""
    cells = view.cells("fig3")
    old = own_accuracy(cells, "old", STANDARD, STRICT)
    rows = [{"query model": "old, no update"} | {f"{stop} %": DASH for stop in STOPS} | {"0 %": old.text()}]
    for query, _, curve in _curves(view, cells, RULES):
        row = {f"{stop} %": curve.at(stop).text() for stop in STOPS}
        rows.append({"query model": query} | row | {"above the old model": above_from(curve, old.mean)})
    return pd.DataFrame(rows).set_index("query model").fillna(DASH)


def above_from(curve: Curve, value: float) -> str:
    """The first measured point from which the mean curve stays above the value, in words."""
    below = np.flatnonzero(curve.mean <= value)
    if len(below) and below[-1] == len(curve.per_cent) - 1:
        return "never"
    return f"from {curve.per_cent[below[-1] + 1 if len(below) else 0]:.0f} %"


def steadiness(view: View) -> pd.DataFrame:
    """Tests of the statement of Appendix B that the curve rises, in proportion, until it reaches the paragon.

    Largest fall: the steepest fall between neighbouring points of the mean curve, in points of TPIR, with the 95 %
    interval of that step, paired by seed; and how many of the steps fall by more than their interval. Correlation of
    share and accuracy, seed by seed; largest distance of the mean curve from the straight line between its ends, in
    per cent of the gain. End: its last point minus the independent model's own accuracy, paired by seed. All of this at
    FPIR=1e-2, and with one threshold also at 1e-1. A dash means that a curve is constant or ends at its first value.
    """
    cells = view.cells("fig3")
    rows = []
    for query, metric, curve in _curves(view, cells, RULES | {LOOSE: "one threshold, FPIR=1e-1"}):
        steps = [cell_of(column, curve.seeds) for column in np.diff(curve.values, axis=1).T]
        steepest = min(steps, key=lambda step: step.mean)
        falls = sum(step.mean + step.half_width < 0 for step in steps)
        rows.append(
            {
                "query model": query,
                "gain": curve.gain.text(sign=True),
                "largest fall": steepest.text(2, sign=True) if steepest.mean < 0 else "none",
                "falls beyond noise": f"{falls} of {len(steps)} steps",
                "correlation": _correlation(curve),
                "off the line": _off_line(curve),
                "end less paragon": curve.at(100).minus(own_accuracy(cells, "new*", STANDARD, metric)).text(sign=True),
            }
        )
    return pd.DataFrame(rows).set_index("query model")


def _correlation(curve: Curve) -> str:
    """Correlation of share and accuracy, seed by seed; a dash if the accuracy of a seed never changes."""
    if (np.ptp(curve.values, axis=1) == 0).any():
        return DASH
    return cell_of(np.array([np.corrcoef(curve.per_cent, row)[0, 1] for row in curve.values]), curve.seeds).text(3)


def _off_line(curve: Curve) -> str:
    """Largest distance of the mean curve from the straight line, positive above it; a dash if nothing is gained."""
    mean = curve.mean
    if mean[-1] == mean[0]:
        return DASH
    distance = 100 * (mean - mean[0]) / (mean[-1] - mean[0]) - curve.per_cent
    return f"{distance[np.argmax(np.abs(distance))]:+.1f} % of gain"


def orders(query: str, view: View, metric: str = STRICT) -> pd.DataFrame | None:
    """The share of the gain after the first tenth of the classes and of the images, in each order.

    metric: STRICT or TWO_THRESHOLDS. Next to each share is the difference to the random order, paired by seed. Shares
    refer to the gain on the same galleries; images: the share of images in the first tenth of the classes. A dash if a
    seed gains nothing; None if the model was not measured.
    """
    tables = {STANDARD: view.cells("fig3")}
    tables |= dict.fromkeys((LONG_TAILED, SEARCHED_BY_SIZE), view.cells("backfill_orders"))
    rows = []
    for galleries, cells in tables.items():
        baseline: dict[str, Cell | None] = {}
        for name, members in ORDER_NAMES.items():
            if (curve := load_curve(cells, query, galleries, members, metric)) is None:
                continue
            images, shares = load_curve(cells, query, galleries, members, IMAGES), curve.gain_shares()
            row = {
                "galleries, order": f"{GALLERY_NAMES[galleries]}, {name}",
                "gain": curve.gain.text(sign=True),
                "images": f"{images.at(FIRST).mean if images else FIRST:.0f} %",
            }
            for unit, cost in (("classes", None), ("images", images)):
                reached = shares.at(FIRST, cost) if shares else None
                baseline.setdefault(unit, reached)
                other = reached and baseline[unit] and name != "random"
                row[f"after 10 % of {unit}"] = reached.text(0) if reached else DASH
                row[f"more than random ({unit})"] = reached.minus(baseline[unit]).text(0, True) if other else DASH
            rows.append(row)
    return pd.DataFrame(rows).set_index("galleries, order") if rows else None
