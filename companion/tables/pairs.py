"""Tables of pairs of models, ours next to the paper's, with the update gains of Table 4 by both denominators.

Also tables of the setup: the models (Tables 1a, 3a, 4a) and the protocols.
"""

import math
from collections.abc import Sequence

import pandas as pd

from bctlib.metrics import update_gain
from bctlib.models import BASELINES, ModelSpec
from companion.experiments import TableSpec, find_table
from companion.pairs import Pair
from companion.tables.cells import (  # fmt: skip
    DASH,
    HEADLINE,
    PROTOCOLS,
    Cell,
    View,
    compatible_text,
    number,
    paper_value,
    power,
)
from companion.workbench import Workbench


def compatibility_tables(spec: TableSpec, view: View, variant: str = "") -> list[tuple[str, pd.DataFrame]]:
    """(heading, `compatibility_table`) of both protocols."""
    return [
        (f"{spec.heading}, {name}{variant}: {metric}={power(HEADLINE[metric])}, %",
         compatibility_table(spec.name, view, protocol, variant))
        for protocol, (name, metric) in PROTOCOLS.items()
    ]  # fmt: skip


def compatibility_table(table: str, view: View, protocol: str, variant: str = "") -> pd.DataFrame:
    """Tables 1b to 4c: accuracy, verdict of Eq. 2, update gain (Eq. 9) and absolute gain, ours and the paper's.

    protocol: `verification` (TAR@FAR=1e-4) or `identification` (TPIR@FPIR=1e-2). variant: "" or DISTINCT, without
    look-alikes. Accuracies and gains are in per cent, means over seeds with a 95 % interval
    (Student's t); the absolute gain is the difference, paired by seed, to the gallery model on its own gallery. Update
    gains are computed from the mean accuracies; a dash means that these fail Eq. 2. A pair whose training diverged has
    no row. Raises NotMeasured if nothing was measured at the view's lambda.
    """
    spec, cells, metric = find_table(table), view.cells(table), PROTOCOLS[protocol][1]
    at = (protocol + variant, metric, HEADLINE[metric])
    found = {pair: cells[*pair, *at] for pair in spec.pairs if (*pair, *at) in cells}
    rows = [{"pair": view.text(pair)} | _row(spec, pair, found, protocol, metric) for pair in found]
    return pd.DataFrame(rows, columns=None if rows else ["pair"]).set_index("pair")


def _row(spec: TableSpec, pair: Pair, cells: dict[Pair, Cell], protocol: str, metric: str) -> dict:
    query, gallery = pair
    cell, point = cells[pair], HEADLINE[metric]
    printed = {m: paper_value(spec.name, *pair, protocol, m, point) for m in (metric, "compatible", "update_gain")}
    cross = query != gallery
    lower = cells[gallery, gallery] if cross else cells.get(spec.gaps.get(pair))
    gain = update_gain(cell.mean, lower.mean, cells[spec.paragon(query)].mean) if cross else math.nan
    return {
        metric: cell.text(),
        "paper": number(printed[metric], 2),
        "Eq. 2": compatible_text(cell, lower) if cross else DASH,
        "paper: Eq. 2": {None: DASH, 1.0: "yes", 0.0: "no"}[printed["compatible"]],
        "update gain": number(100 * gain),
        "paper: gain": number(printed["update_gain"], 2),
        "absolute gain": cell.minus(lower).text(sign=True) if lower else DASH,
    }


def accuracy_tables(spec: TableSpec, view: View, variant: str = "") -> list[tuple[str, pd.DataFrame]]:
    """(heading, `accuracy_table`)."""
    return [(spec.heading + variant, accuracy_table(spec.name, view, variant))]


def accuracy_table(table: str, view: View, variant: str = "") -> pd.DataFrame:
    """Tables 2 and 8: every pair at every operating point of the table, `ours (paper)`, in per cent."""
    spec, cells = find_table(table), view.cells(table)
    columns = [
        (protocol, metric, point)
        for protocol, metrics in (("verification", ("TAR@FAR",)), ("identification", ("TPIR@FPIR", "rank")))
        for metric in metrics
        for point in spec.points.get(metric, ())
    ]
    rows = []
    for pair in spec.pairs:
        row = {"pair": view.text(pair)}
        for protocol, metric, point in columns:
            cell = cells.get((*pair, protocol + variant, metric, point))
            printed = paper_value(table, *pair, protocol, metric, point)
            paper = "" if printed is None else f" ({printed:.2f})"
            row[f"{PROTOCOLS[protocol][0]} {metric}={power(point)}"] = DASH if cell is None else cell.text() + paper
        rows.append(row)
    return pd.DataFrame(rows).set_index("pair")


def strict_table(view: View) -> pd.DataFrame:
    """Eq. 1: per cent of the constraints that each measured pair satisfies, for different and for same identities."""
    cells = view.cells("table8")
    rows = [
        {"pair": view.text(pair)}
        | {kind: cells[(*pair, "strict criterion", "constraints kept", kind)].text() for kind in ("different", "same")}
        for pair in find_table("table8").pairs
        if pair[1] == "old" and (*pair, "strict criterion", "constraints kept", "same") in cells
    ]
    return pd.DataFrame(rows).set_index("pair")


def matrix_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, `matrix_table`) of both protocols."""
    return [
        (f"{spec.heading}, {name}: {metric}={power(HEADLINE[metric])}, % (queries down, galleries across)",
         matrix_table(spec.name, view, protocol))
        for protocol, (name, metric) in PROTOCOLS.items()
    ]  # fmt: skip


def matrix_table(table: str, view: View, protocol: str) -> pd.DataFrame:
    """Every query model (rows) against every gallery model (columns) of a table, in per cent, as in Tables 1 to 4."""
    metric = PROTOCOLS[protocol][1]
    cells, at = view.cells(table), (protocol, metric, HEADLINE[metric])
    models = list(dict.fromkeys(query for query, _ in find_table(table).pairs))
    rows = {view.name(q): {view.name(g): cells[q, g, *at].text() for g in models} for q in models}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("query")


PAPER_PARAGON: dict[Pair, Pair] = {
    ("phi2", "phi1"): ("phi2*", "phi2*"),
    ("phi3", "phi1"): ("phi2*", "phi2*"),
    ("phi3", "phi2"): ("phi3*", "phi3*"),
}
"""Table 4 divides the gain of (phi3, phi1) by the gain of phi2's paragon over phi1, not by that of phi3's paragon."""


def chain_gains(view: View, protocol: str) -> pd.DataFrame:
    """Update gain in per cent of the chain's three pairs, ours and the paper's, by Eq. 9 and as the paper divides.

    protocol: `verification` or `identification`. Computed from the mean accuracies; a dash if these fail Eq. 2.
    """
    cells, spec, metric = view.cells("table4"), find_table("table4"), PROTOCOLS[protocol][1]
    at = (protocol, metric, HEADLINE[metric])

    def ours(pair: Pair) -> float:
        return cells[*pair, *at].mean

    def printed(pair: Pair) -> float:
        return paper_value("table4", *pair, *at)

    rows = []
    for pair, as_printed in PAPER_PARAGON.items():
        query, gallery = pair
        row = {"pair": view.text(pair)}
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
    """Numbers of identities, images, templates, pairs and searches of the test protocols.

    For glyphs also without the identities that look almost like another.
    """
    counts = {"full": bench.protocols().counts}
    if bench.distinct is not None:
        counts["no look-alikes"] = bench.distinct.counts
    return pd.DataFrame(counts).map(lambda count: f"{count:,}")
