"""Tables of mapped queries: every map on every new model, the number of pairs, and what became of the predictions."""

import math

import pandas as pd

from companion.experiments import TableSpec
from companion.measure.mapped.every_map import COUNTS, CURVE, FITTED, MAP, MAPS, STRENGTH, WEIGHTED, mapped
from companion.pairs import LOWER_BOUND, MAP_PAIRS, Pair
from companion.tables.cells import DASH, Cell, MeasuredCells, View, compatible_text, number
from companion.tables.reading import outcomes

TABLE = "maps"
POINTS = {
    "1:1 FAR=1e-4": ("verification", "TAR@FAR", "0.0001"),
    "1:N FPIR=1e-2": ("identification", "TPIR@FPIR", "0.01"),
    "rank 1": ("identification", "rank", "1"),
}
NONE = "as it is"
BOTH = "both models"
NEEDS = {NONE: "new model", "span-filter": "new model (and once the old head)", "midpoint": BOTH, WEIGHTED: BOTH}
"""What each query needs; other maps the new model, and once pairs of embeddings."""


def accuracy(cells: MeasuredCells, pair: Pair, point: str, kind: str = NONE, pairs: int | None = None) -> Cell | None:
    """The accuracy of the pair with its queries mapped, None if it was not measured."""
    protocol, metric, at = POINTS[point]
    return cells.get((*pair, protocol + ("" if kind == NONE else mapped(kind, pairs)), metric, at))


def old_accuracy(cells: MeasuredCells, point: str) -> Cell:
    """(old, old), which Eq. 2 asks to exceed."""
    return cells[*LOWER_BOUND, *POINTS[point]]


def maps_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table): the maps of each new model, then the curve over the number of pairs. Raises as `View.cells`."""
    cells = view.cells(TABLE)
    tables = [
        (f"{spec.heading}: queries of {view.name(pair[0])} in the gallery of {pair[1]}, %", map_table(view, pair))
        for pair in MAP_PAIRS[1:]
        if accuracy(cells, pair, "rank 1")
    ]
    return [*tables, (f"Pairs that a map of kind {CURVE} is fitted to, %", pairs_table(view))]


def map_table(view: View, pair: Pair) -> pd.DataFrame:
    """A row per map: accuracy with the difference to (old, old), paired by seed, and Eq. 2 at each point of POINTS."""
    cells, rows = view.cells(TABLE), {}
    for kind in (NONE, *MAPS):
        found = {point: accuracy(cells, pair, point, kind) for point in POINTS}
        if None in found.values():
            continue
        row = {}
        for point, cell in found.items():
            old = old_accuracy(cells, point)
            row[point] = f"{cell.text()} ({cell.minus(old).text(sign=True)})"
            row[f"Eq. 2 at {point}"] = compatible_text(cell, old)
        chosen = cells.get((*pair, MAP, STRENGTH, kind))
        strengths = {math.inf if math.isnan(each) else each for each in (chosen.values if chosen else ())}
        row["strength"] = ", ".join(f"{each:g}" for each in sorted(strengths)) or DASH
        rows[kind] = row | {"a query needs": NEEDS.get(kind, NEEDS[NONE])}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("map")


def pairs_table(view: View) -> pd.DataFrame:
    """A row per new model and point, a column per number of pairs."""
    cells, rows = view.cells(TABLE), {}
    for pair in MAP_PAIRS[1:]:
        for point in POINTS:
            found = {f"{n:,}": accuracy(cells, pair, point, CURVE, n) for n in COUNTS}
            found[f"{FITTED:,} or all"] = accuracy(cells, pair, point, CURVE)
            if any(found.values()):
                rows[f"{view.text(pair)}, {point}"] = {n: number(cell and cell.mean) for n, cell in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("pairs fitted")


def predictions(view: View) -> str:
    """What became of the predictions of notebook 08, as lines of Markdown, by the means over seeds."""
    cells, strict = view.cells(TABLE), list(POINTS)[:2]
    alone, single = ("new*", "old"), [kind for kind in MAPS if kind not in ("span-filter", "midpoint", WEIGHTED)]

    def over(kind: str, point: str, pair: Pair = alone) -> float:
        return accuracy(cells, pair, point, kind).mean - old_accuracy(cells, point).mean

    def gained(query: str, point: str, kind: str = CURVE) -> float:
        pair = (query, "old")
        return accuracy(cells, pair, point, kind).mean - accuracy(cells, pair, point).mean

    best = {point: max(over(kind, point) for kind in single) for point in POINTS}
    middle = {point: over("midpoint", point) for point in strict}
    ridge = {
        point: over(CURVE, point) - max(over(kind, point) for kind in ("orthogonal", "centred-orthogonal"))
        for point in strict
    }
    turned = {point: gained("new-bct", point, "orthogonal") for point in strict}
    on_top = {(query, point): gained(query, point) for query in ("new-bct", "new-bct-sys") for point in strict}
    lines = (
        (
            all(best[point] < 0 for point in strict),
            f"the best map of new\\* alone is {_points(best, strict)} against old",
        ),
        (best["rank 1"] > -2, f"at rank 1 the best map alone is {best['rank 1']:+.1f} points against old"),
        (all(value > 0 for value in middle.values()), f"the midpoint is {_points(middle, strict)} against old"),
        (
            all(value > 0 for value in on_top.values()),
            "; ".join(
                f"on {query} ridge brings {value:+.1f} points at {point}" for (query, point), value in on_top.items()
            ),
        ),
        (
            all(value > 0 for value in ridge.values()),
            f"ridge is {_points(ridge, strict)} against the better rotation",
        ),
        (
            all(abs(value) < 1 for value in turned.values()),
            f"a rotation on top of new-bct brings {_points(turned, strict)}",
        ),
    )
    return outcomes(lines)


def readings(view: View) -> str:
    """What the maps bring, with intervals over seeds, as lines of Markdown: alone, with both models, and on top."""
    cells, bound = view.cells(TABLE), ("new-bct", "new-bct-kd", "new-bct-sys")

    def gains(pair: Pair, kind: str, base: str | None) -> str:
        """At each of POINTS, against the pair with a map of kind `base`, or against (old, old) for None."""
        texts = []
        for point in POINTS:
            below = old_accuracy(cells, point) if base is None else accuracy(cells, pair, point, base)
            texts.append(f"{accuracy(cells, pair, point, kind).minus(below).text(sign=True)} at {point}")
        return ", ".join(texts)

    alone = ("new*", "old")
    lines = [
        *(f"new\\*, {kind}, against old: {gains(alone, kind, None)}" for kind in ("orthogonal", CURVE, "low-rank")),
        f"new\\* and old on every query, midpoint, against old: {gains(alone, 'midpoint', None)}",
        *(f"{CURVE} on top of {name}, against {name} as it is: {gains((name, 'old'), CURVE, NONE)}" for name in bound),
        *(
            f"midpoint of {name} and the old query, against {name} as it is: {gains((name, 'old'), 'midpoint', NONE)}"
            for name in bound
        ),
    ]
    return "\n".join(f"* {line};" for line in lines).removesuffix(";") + "."


def _points(values: dict[str, float], points: list[str]) -> str:
    return " and ".join(f"{values[point]:+.1f} points at {point}" for point in points)
