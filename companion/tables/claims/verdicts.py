"""The verdict on a claim from committed results, by one rule.

The effect is the mean over seeds with its 95 % interval (Student's t). A claim `holds` if the whole interval lies on
the side claimed, `fails` if it lies on the other side, and is `undecided` otherwise, or with fewer than 3 seeds. The
verdict is about the claim: if the paper says that something fails Eq. 2 and it fails in our results, the claim holds.
"""

import math
from dataclasses import dataclass, field

import pandas as pd

from bctlib.training.scales import check_scale
from companion.results import arithmetic, load_rows, mean_and_half_width, readable_file
from companion.tables.cells import Cell
from companion.tables.claims.quantities import BySeed, Cells, Comparison, Point

HOLDS, FAILS, UNDECIDED, NOT_MEASURED = "holds", "fails", "undecided", "not measured"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_MEASURED)
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Judgement:
    """A verdict, the effect that decides it (None if nothing was measured), and the device."""

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
    """The committed results of one scale; each table is read once, and devices are kept separate."""

    scale: str
    _cells: dict[tuple[str, str], Cells] = field(default_factory=dict)
    _devices: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_scale(self.scale)

    def devices(self, table: str) -> tuple[str, ...]:
        """The kinds of device on which a table was measured; empty if it was not measured."""
        if table not in self._devices:
            path = readable_file(self.scale, table)
            found = pd.read_csv(path, usecols=["device"])["device"].unique() if path else ()
            self._devices[table] = tuple(sorted(set(map(arithmetic, found))))
        return self._devices[table]

    def cells(self, table: str, device: str) -> Cells:
        """Values by seed on one device; NaN counts as not measured."""
        if (table, device) not in self._cells:
            cells: dict[tuple[str, ...], BySeed] = {}
            names = ["query_model", "gallery_model", "protocol", "metric", "operating_point", "seed", "value"]
            rows = load_rows(self.scale, table, device).dropna(subset="value")
            for *key, seed, value in rows[names].itertuples(index=False, name=None):
                cells.setdefault(tuple(key), {})[seed] = value
            self._cells[table, device] = cells
        return self._cells[table, device]

    def judge(self, comparison: Comparison, point: Point) -> Judgement:
        """The verdict at one point, on one device: the one with the most seeds that all tables share."""
        shared = sorted(set.intersection(*(set(self.devices(table)) for table in comparison.tables)))
        found = [(on, comparison.by_seed(lambda table, on=on: self.cells(table, on), point)) for on in shared]
        device, effects = max(found, key=lambda each: len(each[1]), default=("", {}))
        if not effects:
            return Judgement(NOT_MEASURED)
        mean, half_width = mean_and_half_width(tuple(effects.values()))
        cell = Cell(mean, half_width, tuple(effects.values()), tuple(effects))
        return Judgement(judge(effects, comparison), cell, device)

    def signs(self, comparison: Comparison, point: Point) -> tuple[str, str] | None:
        """A sign per operating point of the protocol, strict to loose then ranks: in the paper, and here.

        `+` left is above right (Eq. 2: the pair beats the old model), `-` it is not, `0` undecided here, `.` no number.
        None if the pairs' table holds only one point. Only for a comparison of two pairs: a limit in points applies
        only to the operating point for which it was set.
        """
        if comparison.right is None or comparison.bound or len(comparison.tables) > 1:
            return None
        points = [
            (comparison.paper(each), self.judge(comparison, each).verdict)
            for each in point.others_in(comparison.tables[0])
        ]
        points = [(printed, verdict) for printed, verdict in points if verdict != NOT_MEASURED]
        if len(points) < 2:
            return None
        above, not_above = (HOLDS, FAILS) if comparison.above else (FAILS, HOLDS)
        sign = {above: "+", not_above: "-", UNDECIDED: "0"}
        paper = "".join("." if printed is None else "+" if printed > 0 else "-" for printed, _ in points)
        return paper, "".join(sign[verdict] for _, verdict in points)


def margin(test: Comparison, judged: Judgement) -> tuple[float, float]:
    """Distance of the effect from the bound, positive on the side claimed, and half its interval, in points."""
    towards = 1 if test.above else -1
    half_width = judged.effect.half_width
    return towards * (judged.effect.mean - test.bound), 0.0 if math.isnan(half_width) else half_width
