"""Update gain (Eq. 9) against the operating point, ours and the paper's: does BCT bring more where it is strict?"""

import math

import pandas as pd

from companion.experiments import find_table
from companion.pairs import LOWER_BOUND, PARAGON
from companion.tables.cells import DASH, PROTOCOLS, Cell, View, paper_value, power, signed_gain
from companion.tables.shown.old_classes import gain_with_interval

TABLE = "table8"
BOUND = ("new-bct", "new-bct-kd", "new-bct-sys")


def points(protocol: str) -> tuple[str, ...]:
    """The operating points of Table 8 in the protocol, loose to strict, as results write them."""
    return tuple(sorted(find_table(TABLE).points[PROTOCOLS[protocol][1]], key=float, reverse=True))


def gain(query: str, protocol: str, point: str, view: View) -> Cell | None:
    """Update gain of (query, old) in per cent, of the means over seeds, negative where Eq. 2 fails.

    None where nothing was measured or the paragon does not beat the old model. Raises as `View.cells` does.
    """
    cells, at = view.cells(TABLE), (protocol, PROTOCOLS[protocol][1], point)
    pairs = ((query, LOWER_BOUND[1]), LOWER_BOUND, PARAGON)
    if any((*pair, *at) not in cells for pair in pairs):
        return None
    found = gain_with_interval(*(cells[*pair, *at] for pair in pairs))
    return None if math.isnan(found.mean) else found


def paper_gain(query: str, protocol: str, point: str) -> float | None:
    """The paper's update gain in per cent, from the accuracies of its Table 8; negative where its Eq. 2 fails."""
    at = (protocol, PROTOCOLS[protocol][1], point)
    new, old, best = (paper_value(TABLE, *pair, *at) for pair in ((query, LOWER_BOUND[1]), LOWER_BOUND, PARAGON))
    return None if None in (new, old, best) else signed_gain(new, old, best)


def gains_table(view: View) -> pd.DataFrame:
    """A row per model bound by BCT, a column per operating point from loose to strict: ours (paper), in per cent."""
    rows = {}
    for query in BOUND:
        cells = {}
        for protocol, (name, metric) in PROTOCOLS.items():
            for point in points(protocol):
                ours, printed = gain(query, protocol, point, view), paper_gain(query, protocol, point)
                both = DASH if ours is None else f"{ours.mean:.0f}", "" if printed is None else f" ({printed:.0f})"
                cells[f"{name} {metric.partition('@')[2]}={power(point)}"] = "".join(both)
        rows[view.text((query, LOWER_BOUND[1]))] = cells
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("pair")
