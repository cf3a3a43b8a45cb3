"""Accuracies with filtered queries beside those without, paired by seed (`measure.mapped.query_filter`; ours)."""

import pandas as pd

from companion.experiments import TableSpec, find_table
from companion.measure.mapped.query_filter import FILTER, STRENGTH
from companion.measure.reid import PROTOCOL
from companion.tables.cells import DASH, HEADLINE, PROTOCOLS, View, compatible_text, power
from companion.tables.reading import outcomes

UNFILTERED = {"filtered": "table1", "filtered_chain": "table4", "filtered_reid": "table5"}
"""For each table of filtered queries, the table that has the same pairs without the filter."""


def filter_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table): a row per pair and measure. Raises as `View.cells` does."""
    return [(spec.heading, filter_table(spec.name, view))]


def filter_table(table: str, view: View) -> pd.DataFrame:
    """Accuracy without and with the filter, the difference, Eq. 2 with the filter, and the strengths of each seed."""
    cells, plain, rows = view.cells(table), view.cells(UNFILTERED[table]), []
    for pair in find_table(table).pairs:
        for name, at in _points(table).items():
            if (*pair, *at) not in cells or (*pair, *at) not in plain:
                continue
            without, filtered = plain[*pair, *at], cells[*pair, *at]
            own = plain.get((pair[1], pair[1], *at))
            strengths = cells[*pair, FILTER, STRENGTH, ""].values
            rows.append(
                {
                    "pair": view.text(pair),
                    "measure": name,
                    "without": without.text(),
                    "filtered": filtered.text(),
                    "difference": filtered.minus(without).text(sign=True),
                    "Eq. 2, filtered": compatible_text(filtered, own) if own else DASH,
                    "strength": ", ".join(f"{strength:g}" for strength in sorted(set(strengths))),
                }
            )
    columns = ["pair", "measure", "without", "filtered", "difference", "Eq. 2, filtered", "strength"]
    return pd.DataFrame(rows, columns=columns).set_index("pair")


def _points(table: str) -> dict[str, tuple[str, str, str]]:
    """(protocol, metric, operating point) of the table's rows, by what they measure."""
    if table == "filtered_reid":
        return {"mAP": (PROTOCOL, "mAP", ""), "CMC-1": (PROTOCOL, "cmc", "1")}
    return {
        f"{name} {metric}={power(HEADLINE[metric])}": (protocol, metric, HEADLINE[metric])
        for protocol, (name, metric) in PROTOCOLS.items()
    }


def reid_prediction(view: View) -> str:
    """What became of the prediction of notebook 04, as a line of Markdown, by the mean over seeds."""
    pair, at = ("new-bct", "old"), (PROTOCOL, "mAP", "")
    change = view.cells("filtered_reid")[*pair, *at].minus(view.cells("table5")[*pair, *at])
    return outcomes([(abs(change.mean) < 0.5, f"mAP changes by {change.text(2, sign=True)} points")])
