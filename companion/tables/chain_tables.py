"""Update gains of Table 4 by both denominators: Eq. 9's own, and the one that the paper divides by."""

import pandas as pd

from companion.pairs import Pair
from companion.experiments import find_table
from bctlib.metrics import update_gain
from companion.tables.cells import HEADLINE, PROTOCOLS, measured, number, pair_text
from companion.tables.paper_numbers import paper_value
from bctlib.models import with_lambda

PAPER_PARAGON: dict[Pair, Pair] = {
    ("phi2", "phi1"): ("phi2*", "phi2*"),
    ("phi3", "phi1"): ("phi2*", "phi2*"),
    ("phi3", "phi2"): ("phi3*", "phi3*"),
}
"""Table 4 divides the gain of (phi3, phi1) by what phi2's paragon gains over phi1, not by what phi3's does."""


def chain_gains(scale: str, protocol: str, device: str | None = None, lam: float = 1.0) -> pd.DataFrame:
    """Update gain in per cent of the chain's three pairs, ours and the paper's, by Eq. 9 and as the paper divides.

    protocol: `verification` or `identification`. Taken of the mean accuracies; a dash where these fail Eq. 2.
    """
    cells, spec, metric = measured("table4", scale, device), find_table("table4"), PROTOCOLS[protocol][1]
    at = (protocol, metric, HEADLINE[metric])

    def ours(pair: Pair) -> float:
        return cells[(*(with_lambda(name, lam) for name in pair), *at)].mean

    def printed(pair: Pair) -> float:
        return paper_value("table4", *pair, *at)

    rows = []
    for pair, as_printed in PAPER_PARAGON.items():
        query, gallery = pair
        row = {"pair": pair_text(pair)}
        for whose, value in (("ours", ours), ("paper", printed)):
            for how, paragon in (("Eq. 9", spec.paragon(query)), ("as the paper divides", as_printed)):
                gain = update_gain(value(pair), value((gallery, gallery)), value(paragon))
                row[f"{whose}, {how}"] = number(100 * gain)
        row["paper, printed"] = number(paper_value("table4", *pair, protocol, "update_gain", HEADLINE[metric]), 2)
        rows.append(row)
    return pd.DataFrame(rows).set_index("pair")
