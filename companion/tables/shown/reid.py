"""Table 5, re-identification, from the results, ours next to the paper's."""

import math

import pandas as pd

from bctlib.data.paper.market1501 import PUBLISHED
from bctlib.metrics import update_gain
from companion.experiments import TableSpec, find_table
from companion.measure.reid import PROTOCOL, bench_reid_protocol
from companion.pairs import LOWER_BOUND, PARAGON, REID_PAIRS, Pair
from companion.tables.cells import DASH, Cell, View, compatible_text, number, paper_value
from companion.workbench import Workbench

TABLE = "table5"
CONTRASTS: tuple[tuple[Pair, Pair], ...] = (
    (("new-bct", "new-bct"), PARAGON),
    (("new-bct", "old"), ("old", "new-bct")),
)
MARKET_IDENTITIES, MARKET_CAMERAS = 750, 6


def direction(pair: Pair) -> str:
    """The side with the new model: the paper prints Table 5 as (old, new), and all other tables as (new, old)."""
    query, gallery = pair
    if query == gallery:
        return "one model"
    return "new gallery" if query == LOWER_BOUND[0] else "new query"


def reid_cells(view: View) -> dict[tuple[Pair, str, str], Cell]:
    """Every measured cell of Table 5 by (pair, metric, operating point). Raises as `View.cells` does."""
    cells = view.cells(TABLE)
    points = [(metric, point) for metric, points in find_table(TABLE).points.items() for point in points]
    keys = {(pair, *at): (*pair, PROTOCOL, *at) for pair in REID_PAIRS for at in points}
    return {short: cells[key] for short, key in keys.items() if key in cells}


def reid_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table) for every table that shows Table 5."""
    return [
        (f"{spec.heading}: re-identification, %", reid_table(view)),
        ("Gain over (old, old) at every measure, paired by seed, points", reid_gains_table(view)),
        ("Cost of compatibility, and the two directions against each other, %", contrast_table(view)),
    ]


def reid_table(view: View) -> pd.DataFrame:
    """Table 5: mAP both ways and CMC-1, verdict of Eq. 2, update gain (Eq. 9) and absolute gain, ours and the paper's.

    In per cent, means over seeds with a 95 % interval (Student's t). Both directions are compared with (old, old), as
    in the paper; the absolute gain is the difference to it, paired by seed. Update gains are computed from the mean
    mAP; a dash means that it fails Eq. 2. Raises as `View.cells` does.
    """
    cells = reid_cells(view)
    rows = [{"pair": view.text(pair)} | _row(pair, cells) for pair in REID_PAIRS if (pair, "mAP", "") in cells]
    return pd.DataFrame(rows).set_index("pair")


def _row(pair: Pair, cells: dict[tuple[Pair, str, str], Cell]) -> dict[str, str]:
    names = ("mAP", "compatible", "update_gain", "absolute_gain")
    printed = {name: paper_value(TABLE, *pair, PROTOCOL, name) for name in names}
    cell, lower, cross = cells[pair, "mAP", ""], cells[LOWER_BOUND, "mAP", ""], pair[0] != pair[1]
    gain = update_gain(cell.mean, lower.mean, cells[PARAGON, "mAP", ""].mean) if cross else math.nan
    return {
        "direction": direction(pair),
        "mAP": cell.text(),
        "paper": number(printed["mAP"]),
        "mAP, trapezoid": cells[pair, "mAP, trapezoid", ""].text(),
        "CMC-1": cells[pair, "cmc", "1"].text(),
        "Eq. 2": compatible_text(cell, lower) if cross else DASH,
        "paper: Eq. 2": {None: DASH, 1.0: "yes", 0.0: "no"}[printed["compatible"]],
        "update gain": number(100 * gain),
        "paper: gain": number(printed["update_gain"]),
        "absolute gain": DASH if pair == LOWER_BOUND else cell.minus(lower).text(sign=True),
        "paper: absolute": number(printed["absolute_gain"]),
    }


def contrast_table(view: View) -> pd.DataFrame:
    """The cost of compatibility for the new model, and the difference of the two directions, in mAP and CMC-1.

    In points, paired by seed, next to the paper's. Pairs whose training diverged are omitted.
    """
    cells, rows = reid_cells(view), []
    for first, second in CONTRASTS:
        for (metric, point), of in {("mAP", ""): "mAP", ("cmc", "1"): "CMC-1"}.items():
            both = [cells.get((pair, metric, point)) for pair in (first, second)]
            printed = [paper_value(TABLE, *pair, PROTOCOL, metric, point) for pair in (first, second)]
            texts = [view.text(pair) for pair in (first, second)]
            if None not in both:
                rows.append(
                    {
                        "difference": " - ".join(texts),
                        "of": of,
                        "first": both[0].text(),
                        "second": both[1].text(),
                        "points": both[0].minus(both[1]).text(sign=True),
                        "paper": DASH if None in printed else f"{printed[0] - printed[1]:+.1f}",
                    }
                )
    columns = ["difference", "of", "first", "second", "points", "paper"]
    return pd.DataFrame(rows, columns=columns).set_index("difference")


def reid_gains_table(view: View) -> pd.DataFrame:
    """Gain over (old, old) of every other pair at every measure of Table 5, paired by seed, in points."""
    cells = reid_cells(view)
    measures = [(metric, point) for metric, points in find_table(TABLE).points.items() for point in points]
    rows = {
        view.text(pair): {
            "CMC-" + point if metric == "cmc" else metric: cells[pair, metric, point]
            .minus(cells[LOWER_BOUND, metric, point])
            .text(sign=True)
            for metric, point in measures
        }
        for pair in REID_PAIRS
        if pair != LOWER_BOUND and (pair, "mAP", "") in cells
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("pair")


def reid_counts_table(bench: Workbench) -> pd.DataFrame:
    """Identities, queries, gallery images and cameras of our protocol, next to those of Market-1501."""
    market = {
        "identities": MARKET_IDENTITIES, "queries": PUBLISHED["query"], "gallery images": PUBLISHED["gallery"],
        "cameras": MARKET_CAMERAS,
    }  # fmt: skip
    counts = {"here": bench_reid_protocol(bench).counts, "Market-1501": market}
    return pd.DataFrame(counts).map(lambda count: f"{count:,}")
