"""How many identities does BCT need? Update gain (Eq. 9) against the number of old classes, with intervals.

Two experiments. Series: old, new*, new-bct and new-bct-sys on a share of the training identities, the old model on half
of it. Parts: with all identities, the influence loss on the images of a part of the old classes, against all rows of
the old head ("images") or the part's own rows ("rows"). The conclusions are sentences made from the results.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bctlib.base.errors import BctError
from bctlib.models import IDENTITY_SHARES, PARTS, on_part, on_share
from companion.curves import CLASSES
from companion.experiments import TableSpec, find_table
from companion.pairs import IDENTITY_PAIRS, Pair
from companion.results import mean_and_half_width
from companion.tables.cells import DASH, HEADLINE, PROTOCOLS, Cell, MeasuredCells, View, power

TABLE = "identities"
FORMS = ("new-bct", "new-bct-sys")
KINDS = {"images": "all rows compete", "rows": "only their rows compete"}
_COUNT = ("training", CLASSES, "")


def gain_with_interval(new_old: Cell, old_old: Cell, paragon: Cell) -> Cell:
    """Update gain (Eq. 9) in per cent, also where Eq. 2 fails (negative); NaN if the paragon does not beat old.

    The mean is the ratio of the mean differences, as in Table 1. Its interval is that of a ratio of means, paired by
    seed (Student's t on the first-order expansion): the values are mean + (a - mean * b) / mean(b), where a and b are
    a seed's numerator and denominator. Their mean is the ratio. Differences of two gains can be paired by seed, too.
    Raises BctError if no seed has all three.
    """
    by_seed = [dict(zip(cell.seeds, cell.values, strict=True)) for cell in (new_old, old_old, paragon)]
    seeds = tuple(sorted(set.intersection(*map(set, by_seed))))
    if not seeds:
        raise BctError(f"no seed has all of an update gain: {new_old.seeds}, {old_old.seeds} and {paragon.seeds}")
    new, old, best = (np.array([values[seed] for seed in seeds]) for values in by_seed)
    above, below = new - old, best - old
    ratio = above.mean() / below.mean() if below.mean() > 0 else math.nan
    values = tuple(map(float, 100 * (ratio + (above - ratio * below) / (below.mean() or math.nan))))
    return Cell(*mean_and_half_width(values), values, seeds)


@dataclass(frozen=True)
class Gain:
    """A point of a curve. classes: old classes in the influence loss; identities: of the new model's training."""

    classes: int
    identities: int
    cell: Cell


def _gain(cells: MeasuredCells, pair: Pair, at: tuple[str, str, str]) -> Gain | None:
    """None if a model of the pair, or its paragon, has no number at this point."""
    old, paragon = (pair[1], pair[1]), find_table(TABLE).paragon(pair[0])
    if any((*each, *at) not in cells for each in (pair, old, paragon)):
        return None
    counts = (round(cells[*each, *_COUNT].mean) for each in (pair, paragon))
    return Gain(*counts, gain_with_interval(*(cells[*each, *at] for each in (pair, old, paragon))))


def _headline(protocol: str, variant: str = "") -> tuple[str, str, str]:
    metric = PROTOCOLS[protocol][1]
    return (protocol + variant, metric, HEADLINE[metric])


def series(cells: MeasuredCells, protocol: str, form: str, variant: str = "") -> list[Gain]:
    """Gains at the headline point of one form of BCT (of FORMS), from few old classes to all."""
    pairs = [(on_share(form, share), on_share("old", share)) for share in IDENTITY_SHARES]
    return [gain for pair in pairs if (gain := _gain(cells, pair, _headline(protocol, variant)))]


def parts(cells: MeasuredCells, protocol: str, kind: str, variant: str = "") -> list[Gain]:
    """Gains at the headline point of the models bound to a part of the old classes, of one kind (of KINDS)."""
    pairs = [(on_part(kind, part), "old") for part in PARTS]
    return [gain for pair in pairs if (gain := _gain(cells, pair, _headline(protocol, variant)))]


def _text(cell: Cell | None) -> str:
    return DASH if cell is None or math.isnan(cell.mean) else cell.text(sign=True)


def _by_classes(curves: dict[str, Sequence[Gain]], index: str) -> pd.DataFrame:
    """One row per number of old classes, one column per curve."""
    rows: dict[int, dict[str, str]] = {}
    for name, curve in curves.items():
        for gain in curve:
            rows.setdefault(gain.classes, {})[name] = _text(gain.cell)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(curves)).sort_index().fillna(DASH)
    return table.set_axis([f"{count:,}" for count in table.index]).rename_axis(index)


def gain_tables(spec: TableSpec, view: View, variant: str = "") -> list[tuple[str, pd.DataFrame]]:
    """(heading, table): gains of the series, gains of the parts, and every gain at every operating point; per cent.

    variant: "" or DISTINCT, without look-alikes. A dash stands for what was not measured, and where the paragon does
    not beat the old model. Raises NotMeasured if nothing was measured at the view's lambda.
    """
    cells = view.cells(spec.name)
    where = {p: f"{short} {metric}={power(HEADLINE[metric])}" for p, (short, metric) in PROTOCOLS.items()}
    of_series = {f"{where[p]}, {view.name(form)}": series(cells, p, form, variant) for p in PROTOCOLS for form in FORMS}
    of_parts = {
        f"{where[p]}, {rule}": [*parts(cells, p, kind, variant), *series(cells, p, "new-bct", variant)[-1:]]
        for p in PROTOCOLS
        for kind, rule in KINDS.items()
    }
    counted = {gain.classes: gain.identities for curve in of_series.values() for gain in curve}
    first = _by_classes(of_series, "old classes")
    first.insert(0, "identities of new", [f"{counted[count]:,}" for count in sorted(counted)])
    return [
        (f"{spec.heading}{variant}: update gain (Eq. 9), %, old and new model on fewer identities", first),
        (f"The influence loss on the images of some old classes{variant}: update gain (Eq. 9), %",
         _by_classes(of_parts, "old classes in the influence loss")),
        (f"Update gain (Eq. 9) at every operating point{variant}, %", _at_every_point(spec, view, cells, variant)),
    ]  # fmt: skip


def _at_every_point(spec: TableSpec, view: View, cells: MeasuredCells, variant: str) -> pd.DataFrame:
    """One row per pair, one column per FAR and FPIR."""
    points = [(p, metric, point) for p, (_, metric) in PROTOCOLS.items() for point in spec.points[metric]]
    rows = []
    for pair in (pair for pair in IDENTITY_PAIRS if pair[0] != pair[1]):
        gains = [_gain(cells, pair, (protocol + variant, metric, point)) for protocol, metric, point in points]
        columns = [f"{metric}={power(point)}" for _, metric, point in points]
        rows.append({"pair": view.text(pair)} | dict(zip(columns, (_text(g and g.cell) for g in gains), strict=True)))
    return pd.DataFrame(rows).set_index("pair")


@dataclass(frozen=True)
class Outcome:
    """A difference of two gains, in points of gain. what: in words. expected: +1 or -1, the sign that was predicted."""

    what: str
    effect: Cell
    expected: int

    @property
    def verdict(self) -> str:
        """By the 95 % interval; a single seed has none."""
        if not abs(self.effect.mean) > self.effect.half_width:
            return "undecided"
        return "as predicted" if self.effect.mean * self.expected > 0 else "against the prediction"

    @property
    def sentence(self) -> str:
        return f"{self.what}: {_text(self.effect)} points, {self.verdict}"


def outcomes(view: View) -> dict[str, list[Outcome]]:
    """Every comparison of the two predictions, by the prediction in words."""
    cells, grows, falls = view.cells(TABLE), [], []
    for protocol, (short, _) in PROTOCOLS.items():
        for form in FORMS:
            curve = series(cells, protocol, form)
            if len(curve) > 1:
                what = f"{short}, {view.name(form)}, from {curve[0].classes:,} to {curve[-1].classes:,} old classes"
                grows.append(Outcome(what, curve[-1].cell.minus(curve[0].cell), 1))
        of_images = {gain.classes: gain.cell for gain in parts(cells, protocol, "images")}
        for gain in parts(cells, protocol, "rows"):
            if gain.classes in of_images:
                what = f"{short}, images of {gain.classes:,} old classes, only their rows against all rows"
                falls.append(Outcome(what, gain.cell.minus(of_images[gain.classes]), -1))
    return {
        "With more old classes the update gain grows": grows,
        "With the same images, fewer old rows give a smaller gain": falls,
    }


def conclusions(view: View) -> str:
    """For each prediction how many comparisons bear it out, and then each comparison, a line each."""
    lines = []
    for prediction, found in outcomes(view).items():
        verdicts = [each.verdict for each in found]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("as predicted", "against the prediction", "undecided"))
        lines += [f"{prediction}. Of {len(found)} comparisons: {counts}.", *(f"  {each.sentence}" for each in found)]
    return "\n".join(lines)
