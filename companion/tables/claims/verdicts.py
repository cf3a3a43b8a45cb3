"""The verdict rule, one for all claims.

The effect is the mean over seeds, its interval 95 % by Student's t over seeds. A claim `holds` where the interval lies
wholly on the side claimed, `fails` where it lies wholly on the other side, and is `undecided` otherwise, or with fewer
than 3 seeds. The verdict is about the claim: where the paper says that something fails Eq. 2 and it does here, the
claim holds.
"""

from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from companion.results import load_rows, mean_and_half_width, readable_file
from companion.tables.cells import Cell
from companion.tables.claims.comparisons import Comparison
from companion.tables.claims.quantities import BySeed, Cells, Point
from bctlib.training.bctlib_scales import check_scale

HOLDS, FAILS, UNDECIDED, NOT_MEASURED = "holds", "fails", "undecided", "not measured"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_MEASURED)
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Judgement:
    """A verdict, the effect that it rests on (None where nothing was measured), and the device."""

    verdict: str
    effect: Cell | None = None
    device: str = ""


def judge(effects: BySeed, comparison: Comparison) -> str:
    """The verdict on effects by seed."""
    if not effects:
        return NOT_MEASURED
    if len(effects) < LEAST_SEEDS:
        return UNDECIDED
    mean, half_width = mean_and_half_width(tuple(effects.values()))
    low, high = mean - half_width, mean + half_width
    if low > comparison.bound:
        return HOLDS if comparison.above else FAILS
    if high <= comparison.bound:
        return FAILS if comparison.above else HOLDS
    return UNDECIDED


@dataclass(frozen=True)
class Results:
    """The committed results of one scale, each table read once, devices kept apart."""

    scale: str
    _cells: dict[tuple[str, str], Cells] = field(default_factory=dict)
    _devices: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_scale(self.scale)

    def devices(self, table: str) -> tuple[str, ...]:
        """The devices that a table was measured on, none where it was not measured."""
        if table not in self._devices:
            path = readable_file(self.scale, table)
            found = pd.read_csv(path, usecols=["device"])["device"].unique() if path else ()
            self._devices[table] = tuple(sorted(found))
        return self._devices[table]

    def cells(self, table: str, device: str) -> Cells:
        """Values by seed on one device; a value that is no number counts as not measured."""
        if (table, device) not in self._cells:
            cells: dict[tuple[str, ...], BySeed] = {}
            names = ["query_model", "gallery_model", "protocol", "metric", "operating_point", "seed", "value"]
            rows = load_rows(self.scale, table, device).dropna(subset="value")
            for *key, seed, value in rows[names].itertuples(index=False, name=None):
                cells.setdefault(tuple(key), {})[seed] = value
            self._cells[table, device] = cells
        return self._cells[table, device]

    def judge(self, comparison: Comparison, point: Point) -> Judgement:
        """The verdict at one point. Tables are compared on one device only: the one that has most seeds of all."""
        shared = sorted(set.intersection(*(set(self.devices(table)) for table in comparison.tables)))
        found = [(on, comparison.by_seed(lambda table, on=on: self.cells(table, on), point)) for on in shared]
        device, effects = max(found, key=lambda each: len(each[1]), default=("", {}))
        if not effects:
            return Judgement(NOT_MEASURED)
        mean, half_width = mean_and_half_width(tuple(effects.values()))
        cell = Cell(mean, half_width, tuple(effects.values()), tuple(effects))
        return Judgement(judge(effects, comparison), cell, device)

    def judge_all_points(self, comparison: Comparison, point: Point) -> Counter[str] | None:
        """How many operating points of the protocol have each verdict, where the pairs' one table holds several.

        Only for a comparison of two pairs: a limit in points is meant for the point at which it was set.
        """
        if comparison.right is None or comparison.bound or len(comparison.tables) > 1:
            return None
        points = point.others_in(comparison.tables[0])
        counts = Counter(self.judge(comparison, each).verdict for each in points) if len(points) > 1 else Counter()
        del counts[NOT_MEASURED]
        return counts or None
