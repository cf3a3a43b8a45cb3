"""Tables of pairs of models from the results, ours beside the paper's.

Update gains of Table 4 by both denominators: Eq. 9's own, and the one that the paper divides by.

Tables of what was set up: the models (Tables 1a, 3a, 4a) and the protocols.
"""

import math
from collections.abc import Sequence

import pandas as pd

from bctlib.metrics import update_gain
from bctlib.models import BASELINES, ModelSpec, with_lambda
from companion.experiments import TableSpec, find_table
from companion.pairs import Pair
from companion.tables.cells import (  # fmt: skip
    DASH,
    HEADLINE,
    PROTOCOLS,
    Cell,
    compatible_text,
    measured,
    not_measured,
    number,
    pair_text,
    paper_value,
    power,
)
from companion.workbench import Workbench


def compatibility_table(
    table: str, scale: str, protocol: str, device: str | None = None, lam: float = 1.0, variant: str = ""
) -> pd.DataFrame:
    """Tables 1b to 4c: accuracy, verdict of Eq. 2, update gain (Eq. 9) and absolute gain, ours and the paper's.

    protocol: `verification` (TAR@FAR=1e-4) or `identification` (TPIR@FPIR=1e-2). lam: the lambda of the run. variant:
    "" or DISTINCT, without look-alikes. Accuracies and gains are in per cent, means over seeds with a 95 % interval
    (Student's t); that of the absolute gain is of the difference, paired by seed, to the gallery model on its own
    gallery. Update gains are taken of the mean accuracies; where these fail Eq. 2 there is a dash.
    Raises BctError where nothing was measured at this lambda.
    """
    spec, cells, metric = find_table(table), measured(table, scale, device), PROTOCOLS[protocol][1]
    at = (protocol + variant, metric, HEADLINE[metric])

    def cell_of(pair: Pair) -> Cell | None:
        return cells.get((*(with_lambda(name, lam) for name in pair), *at))

    # None at a lambda that was not run; a pair alone is missing where its training diverged.
    found = {pair: cell for pair in spec.pairs if (cell := cell_of(pair))}
    if lam != 1 and all(cells.get((*pair, *at)) is found.get(pair) for pair in found):
        raise not_measured(table, lam)
    rows = [_row(spec, pair, found, protocol, metric, lam) for pair in found]
    return pd.DataFrame(rows).set_index("pair")


def _row(spec: TableSpec, pair: Pair, cells: dict[Pair, Cell], protocol: str, metric: str, lam: float) -> dict:
    query, gallery = pair
    cell, point = cells[pair], HEADLINE[metric]
    printed = {m: paper_value(spec.name, *pair, protocol, m, point) for m in (metric, "compatible", "update_gain")}
    cross = query != gallery
    lower = cells[gallery, gallery] if cross else cells.get(spec.gaps.get(pair))
    gain = update_gain(cell.mean, lower.mean, cells[spec.paragon(query)].mean) if cross else math.nan
    return {
        "pair": pair_text((with_lambda(query, lam), with_lambda(gallery, lam))),
        metric: cell.text(),
        "paper": number(printed[metric], 2),
        "Eq. 2": compatible_text(cell, lower) if cross else DASH,
        "paper: Eq. 2": {None: DASH, 1.0: "yes", 0.0: "no"}[printed["compatible"]],
        "update gain": number(100 * gain),
        "paper: gain": number(printed["update_gain"], 2),
        "absolute gain": cell.minus(lower).text(sign=True) if lower else DASH,
    }


def accuracy_table(
    table: str, scale: str, device: str | None = None, lam: float = 1.0, variant: str = ""
) -> pd.DataFrame:
    """Tables 2 and 8: every pair at every operating point of the table, `ours (paper)`, in per cent."""
    spec, cells = find_table(table), measured(table, scale, device)
    columns = [
        (protocol, metric, point)
        for protocol, metrics in (("verification", ("TAR@FAR",)), ("identification", ("TPIR@FPIR", "rank")))
        for metric in metrics
        for point in spec.points.get(metric, ())
    ]
    rows = []
    for printed_pair in spec.pairs:
        pair = tuple(with_lambda(name, lam) for name in printed_pair)
        row = {"pair": pair_text(pair)}
        for protocol, metric, point in columns:
            cell = cells.get((*pair, protocol + variant, metric, point))
            printed = paper_value(table, *printed_pair, protocol, metric, point)
            paper = "" if printed is None else f" ({printed:.2f})"
            row[f"{PROTOCOLS[protocol][0]} {metric}={power(point)}"] = DASH if cell is None else cell.text() + paper
        rows.append(row)
    return pd.DataFrame(rows).set_index("pair")


def strict_table(scale: str, device: str | None = None) -> pd.DataFrame:
    """Eq. 1: per cent of the constraints that each measured pair keeps, for different and for same identities."""
    cells = measured("table8", scale, device)
    rows = [
        {"pair": pair_text(pair)}
        | {kind: cells[(*pair, "strict criterion", "constraints kept", kind)].text() for kind in ("different", "same")}
        for pair in find_table("table8").pairs
        if pair[1] == "old" and (*pair, "strict criterion", "constraints kept", "same") in cells
    ]
    return pd.DataFrame(rows).set_index("pair")


def matrix_table(table: str, scale: str, protocol: str, device: str | None = None, lam: float = 1.0) -> pd.DataFrame:
    """Every query model (rows) against every gallery model (columns) of a table, in per cent, as in Tables 1 to 4."""
    metric = PROTOCOLS[protocol][1]
    cells, pairs = measured(table, scale, device), find_table(table).pairs
    at = (protocol, metric, HEADLINE[metric])
    models = list(dict.fromkeys(query for query, _ in pairs))
    named = {model: with_lambda(model, lam) for model in models}
    rows = {q: {named[g]: cells[(named[q], named[g], *at)].text() for g in models} for q in models}
    return pd.DataFrame.from_dict({named[q]: row for q, row in rows.items()}, orient="index").rename_axis("query")


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


def model_table(bench: Workbench, specs: Sequence[ModelSpec] = BASELINES) -> pd.DataFrame:
    """One row per model, as Table 1a: data, network, embedding dimension, head, method, old model."""
    rows = [
        {
            "model": spec.name,
            "training identities": f"{100 * spec.share:.0f} % of {bench.data.n_identities}",
            "backbone": bench.settings.backbones[spec.backbone],
            "dim": spec.dim,
            "head": spec.head,
            "method": spec.method,
            "old model": spec.old or "–",
        }
        for spec in specs
    ]
    return pd.DataFrame(rows).set_index("model")


def protocol_table(bench: Workbench) -> pd.DataFrame:
    """How many identities, images, templates, pairs and searches the test protocols have.

    Of glyphs also without the identities that have close doubles.
    """
    counts = {"full": bench.protocols().counts}
    if bench.distinct is not None:
        counts["no look-alikes"] = bench.distinct.counts
    return pd.DataFrame(counts).map(lambda count: f"{count:,}")
