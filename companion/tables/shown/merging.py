"""Practices while a gallery is backfilled: accuracy on the way, area under the curve, and the cost of a query."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from companion.curves import CASCADE, FILTERED, LOOSE, MERGED, RANDOM_ORDERS, STANDARD, STRICT
from companion.experiments import TableSpec
from companion.measure.mapped.merging import CANDIDATES
from companion.tables.cells import Cell, View
from companion.tables.reading import outcomes
from companion.tables.shown.backfill import STOPS, Cells, Curve, cell_of, load_curve, own_accuracy
from companion.tables.shown.old_classes import gain_with_interval

TABLE = "merging"
PRACTICES = {
    ("new-bct", STANDARD): ("{}, one index", "1"),
    ("new-bct-sys", STANDARD): ("{}, one index", "1"),
    ("new-bct", FILTERED): ("{}, one index, filtered for its old part", "1"),
    ("new-bct-sys", FILTERED): ("{}, one index, filtered for its old part", "1"),
    ("new*", MERGED): ("{} and old, rank merge", "2, by both models"),
    ("new*", CASCADE): ("{}, ridge and cascade", f"1, and up to {CANDIDATES} gallery images anew"),
}
"""(query model, galleries) -> name, and embeddings that a query costs."""
DUAL_WRITE = "dual write: old, then new*"
METRICS = {STRICT: "TPIR@FPIR=1e-2", LOOSE: "TPIR@FPIR=1e-1"}


def practice_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table) at each FPIR. Raises as `View.cells` does."""
    return [
        (f"{spec.heading}: {name} on the way, % of classes backfilled", practice_table(view, metric))
        for metric, name in METRICS.items()
    ]


def practice_curves(view: View, metric: str) -> Iterator[tuple[str, str, Curve]]:
    """(query model, name, curve) of every practice that was measured, mean over random orders; dual write the last."""
    cells = view.cells(TABLE)
    for (query, galleries), (name, _) in PRACTICES.items():
        if curve := load_curve(cells, query, galleries, RANDOM_ORDERS, metric):
            yield query, name.format(view.name(query)), curve
    old, new = (_by_seed(cells, model, metric) for model in ("old", "new*"))
    seeds = tuple(sorted(old.keys() & new.keys()))
    steps = np.array([*range(0, 100, 10), 100], float)
    yield "old", DUAL_WRITE, Curve(steps, np.array([[old[s]] * (len(steps) - 1) + [new[s]] for s in seeds]), seeds)


def gain_so_far(cells: Cells, curve: Curve, metric: str) -> Cell:
    """Mean of the curve from 0 to 100 % above the old model, in per cent of what the paragon has above it.

    The area under the backfill curve: 0 for an old model that is never replaced, 100 for the paragon at once.
    """
    old, paragon = (own_accuracy(cells, model, STANDARD, metric) for model in ("old", "new*"))
    area = np.trapezoid(curve.values, curve.per_cent, axis=1) / 100
    return gain_with_interval(cell_of(area, curve.seeds), old, paragon)


def practice_table(view: View, metric: str) -> pd.DataFrame:
    """A row per practice: accuracy at STOPS, area under the curve, and what a query costs."""
    cells, rows = view.cells(TABLE), {}
    costs = {name.format(view.name(query)): cost for (query, _), (name, cost) in PRACTICES.items()}
    for _, name, curve in practice_curves(view, metric):
        rows[name] = {f"{stop} %": curve.at(stop).text() for stop in STOPS} | {
            "area, % of the gain": "0" if name == DUAL_WRITE else gain_so_far(cells, curve, metric).text(0),
            "embeddings per query": costs.get(name, "1"),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("practice")


def filter_predictions(view: View) -> str:
    """What became of the predictions of notebook 05 about filtered queries, as lines of Markdown, for new-bct."""
    cells = view.cells(TABLE)
    plain, filtered = (load_curve(cells, "new-bct", each, RANDOM_ORDERS, STRICT) for each in (STANDARD, FILTERED))
    start, end = (filtered.at(share).minus(plain.at(share)) for share in (0, 100))
    with_filter, without = (
        view.cells(table)["new-bct", "old", "identification", "TPIR@FPIR", "0.01"] for table in ("filtered", "table1")
    )
    alone = with_filter.minus(without)
    areas = [gain_so_far(cells, each, STRICT).mean for each in (filtered, plain)]
    lines = (
        (
            abs(start.mean - alone.mean) <= start.half_width,
            f"at 0 % it adds {start.text(sign=True)}, and {alone.text(sign=True)} in notebook 01",
        ),
        (end.mean == 0, f"at 100 % it adds {end.text(sign=True)}"),
        (areas[0] - areas[1] < 5, f"the area grows from {areas[1]:.0f} to {areas[0]:.0f} % of the gain"),
    )
    return outcomes(lines)


def _by_seed(cells: Cells, model: str, metric: str) -> dict[int, float]:
    cell = own_accuracy(cells, model, STANDARD, metric)
    return dict(zip(cell.seeds, cell.values, strict=True))
