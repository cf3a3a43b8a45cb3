"""Curves of partial backfill from the results: one row of values per seed, orders averaged within a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from companion.backfill_curves import IMAGES, LONG_TAILED, SEARCHED_BY_SIZE, curve_name
from companion.results import mean_and_half_width
from companion.tables.cells import Cell, measured, not_measured
from bctlib.models import with_lambda

Cells = Mapping[tuple[str, ...], Cell]


def cell_of(values: np.ndarray, seeds: Sequence[int]) -> Cell:
    """One value per seed as a mean with its 95 % interval."""
    mean, half = mean_and_half_width(values)
    return Cell(mean, half, tuple(map(float, values)), tuple(seeds))


@dataclass(frozen=True)
class Curve:
    """A quantity over the per cent of classes that are backfilled.

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

    @property
    def gain(self) -> Cell:
        """Last point less the first."""
        return cell_of(self.values[:, -1] - self.values[:, 0], self.seeds)

    def at(self, per_cent: float, cost: "Curve | None" = None) -> Cell:
        """The value at this per cent of classes, or of another cost that is given over classes, paired by seed.

        Between measured points it lies on the straight line between neighbours.
        """
        at = dict.fromkeys(self.seeds, self.per_cent)
        if cost is not None:
            at |= dict(zip(cost.seeds, cost.on(self.per_cent), strict=True))
        values = [np.interp(per_cent, at[seed], row) for seed, row in zip(self.seeds, self.values, strict=True)]
        return cell_of(np.array(values), self.seeds)

    def on(self, per_cent: np.ndarray) -> np.ndarray:
        """float64 [seeds, len(per_cent)], the values at other points."""
        return np.array([np.interp(per_cent, self.per_cent, row) for row in self.values])

    def gain_shares(self) -> "Curve | None":
        """Share of each seed's own gain that is reached, in per cent; None where a seed has nothing to gain."""
        gains = self.values[:, -1:] - self.values[:, :1]
        if (gains <= 0).any():
            return None
        return Curve(self.per_cent, 100 * (self.values - self.values[:, :1]) / gains, self.seeds)


def load_curve(
    cells: Cells, query: str, galleries: str, orders: Sequence[str], metric: str, lam: float = 1.0
) -> Curve | None:
    """The curve of a query model on galleries that were embedded by the old model, mean over the orders.

    cells: as `cells.measured` gives them. metric: a TPIR, or IMAGES. None where it was not measured, as of a model
    whose training diverged.
    """
    protocol = LONG_TAILED if metric == IMAGES and galleries == SEARCHED_BY_SIZE else galleries
    curves = []
    for order in orders:
        where = (with_lambda(query, lam), "old", curve_name(protocol, order), metric)
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


def curve_cells(table: str, scale: str, device: str | None, lam: float) -> Cells:
    """The cells of `table`. Raises BctError where nothing was measured at this lambda."""
    cells = measured(table, scale, device)
    if not any((with_lambda(query, lam), "old") == key[:2] for key in cells for query in ("new-bct", "new-bct-sys")):
        raise not_measured(table, lam)
    return cells
