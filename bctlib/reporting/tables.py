"""Tables of the paper from the results, ours beside the paper's."""

import math
from dataclasses import dataclass

import pandas as pd

from bctlib.errors import BctError
from bctlib.experiments.compare import DISTINCT
from bctlib.experiments.results import load_rows, mean_and_half_width, readable_file, summarise
from bctlib.experiments.table_list import LOWER_BOUND, PARAGON, Pair, find_table, pairs_at
from bctlib.metrics import is_compatible, update_gain
from bctlib.provenance import provenance
from bctlib.reporting.paper_numbers import paper_value
from bctlib.training.devices import choose_device

__all__ = ["DISTINCT"]  # notebooks ask for the variant by this name

DASH = "–"
PROTOCOLS = {"verification": ("1:1", "TAR@FAR"), "identification": ("1:N", "TPIR@FPIR")}
HEADLINE = {"TAR@FAR": "0.0001", "TPIR@FPIR": "0.01"}
"""The operating points of Tables 1 to 4."""


@dataclass(frozen=True)
class Cell:
    """One measured quantity over seeds, in per cent."""

    mean: float
    half_width: float
    values: tuple[float, ...]

    def text(self, digits: int = 1, sign: bool = False) -> str:
        spread = "" if math.isnan(self.half_width) else f" ± {self.half_width:.{digits}f}"
        return f"{self.mean:{'+' if sign else ''}.{digits}f}{spread}"

    def minus(self, other: "Cell") -> "Cell":
        """The difference, paired by seed: what two models share with one old model drops out of the interval."""
        differences = tuple(a - b for a, b in zip(self.values, other.values, strict=True))
        mean, half_width = mean_and_half_width(differences)
        return Cell(mean, half_width, differences)


def pair_text(pair: Pair) -> str:
    """`(new-bct, old)`: query model first, as in the paper's Tables 1 to 4."""
    return f"({pair[0]}, {pair[1]})"


def measured(table: str, scale: str, device: str | None = None) -> dict[tuple[str, ...], Cell]:
    """Every cell of a table by (query model, gallery model, protocol, metric, operating point)."""
    names = ["query_model", "gallery_model", "protocol", "metric", "operating_point"]
    summary = summarise(load_rows(scale, table, device))
    return {
        tuple(row[name] for name in names): Cell(row["mean"], row["half_width"], row["values"])
        for row in summary.to_dict("records")
    }


def _number(value: float | None, digits: int = 1) -> str:
    return DASH if value is None or math.isnan(value) else f"{value:.{digits}f}"


def compatible_text(new_old: Cell, old_old: Cell) -> str:
    """Eq. 2 seed by seed: `yes`, `no`, or how many of the seeds satisfy it."""
    kept = sum(is_compatible(new, old) for new, old in zip(new_old.values, old_old.values, strict=True))
    n = len(new_old.values)
    return "yes" if kept == n else "no" if kept == 0 else f"{kept} of {n} seeds"


def compatibility_table(
    table: str, scale: str, protocol: str, device: str | None = None, lam: float = 1.0, variant: str = ""
) -> pd.DataFrame:
    """Tables 1b and 1c: accuracy, verdict of Eq. 2, update gain (Eq. 9) and absolute gain, ours and the paper's.

    protocol: `verification` (TAR@FAR=1e-4) or `identification` (TPIR@FPIR=1e-2). lam: the lambda of the run. variant:
    "" or DISTINCT, without look-alikes. Accuracies and gains are in per cent, means over seeds with a 95 % interval
    (Student's t); that of the absolute gain is of the difference, paired by seed. Update gains are taken of the mean
    accuracies; where these fail Eq. 2 there is a dash.
    """
    metric = PROTOCOLS[protocol][1]
    point = HEADLINE[metric]
    cells = measured(table, scale, device)
    old, paragon = (cells[(*pair, protocol + variant, metric, point)] for pair in (LOWER_BOUND, PARAGON))
    rows = []
    for printed_pair, pair in zip(find_table(table).pairs, pairs_at(table, lam), strict=True):
        cell = cells.get((*pair, protocol + variant, metric, point))
        if cell is None:  # its training diverged
            continue
        printed = {
            m: paper_value(table, *printed_pair, protocol, m, point) for m in (metric, "compatible", "update_gain")
        }
        row = {"pair": pair_text(pair), metric: cell.text(), "paper": _number(printed[metric], 2)}
        cross = pair not in (LOWER_BOUND, PARAGON)
        gain = update_gain(cell.mean, old.mean, paragon.mean) if cross else math.nan
        row |= {
            "Eq. 2": compatible_text(cell, old) if cross else DASH,
            "paper: Eq. 2": {None: DASH, 1.0: "yes", 0.0: "no"}[printed["compatible"]],
            "update gain": _number(100 * gain),
            "paper: gain": _number(printed["update_gain"], 2),
            "absolute gain": cell.minus(old).text(sign=True) if pair != LOWER_BOUND else DASH,
        }
        rows.append(row)
    if len(rows) <= len({LOWER_BOUND, PARAGON, (PARAGON[0], LOWER_BOUND[1])}):  # none of these has a lambda
        raise BctError(f"{table} was not measured at lambda {lam:g}: run `./reproduce.sh {table} -p lam {lam:g}` first")
    return pd.DataFrame(rows).set_index("pair")


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
    for printed_pair, pair in zip(spec.pairs, pairs_at(table, lam), strict=True):
        row = {"pair": pair_text(pair)}
        for protocol, metric, point in columns:
            cell = cells.get((*pair, protocol + variant, metric, point))
            printed = paper_value(table, *printed_pair, protocol, metric, point)
            paper = "" if printed is None else f" ({printed:.2f})"
            row[f"{PROTOCOLS[protocol][0]} {metric}={power(point)}"] = DASH if cell is None else cell.text() + paper
        rows.append(row)
    return pd.DataFrame(rows).set_index("pair")


def strict_table(scale: str, device: str | None = None) -> pd.DataFrame:
    """Eq. 1: per cent of the constraints that each pair keeps, for different and for same identities."""
    cells = measured("table8", scale, device)
    rows = [
        {"pair": pair_text(pair)}
        | {kind: cells[(*pair, "strict criterion", "constraints kept", kind)].text() for kind in ("different", "same")}
        for pair in find_table("table8").pairs
        if pair[1] == "old"
    ]
    return pd.DataFrame(rows).set_index("pair")


def power(point: str) -> str:
    """An operating point as the paper writes it: 1e-4; ranks stay as they are."""
    return point if float(point) >= 1 else f"1e-{round(-math.log10(float(point)))}"


def provenance_text(table: str, scale: str, device: str | None = None) -> str:
    """One line under a table: scale, seeds, device, versions, commits."""
    rows = load_rows(scale, table, device)
    seeds = ", ".join(map(str, sorted(rows["seed"].unique())))
    commits = ", ".join(sorted(rows["commit"].unique()))
    return (
        f"{scale} scale; seeds {seeds} (mean ± half of the 95 % interval); {rows['device'].iloc[0]}; "
        f"{rows['versions'].iloc[0]}; commit {commits}; pairs are (query model, gallery model)"
    )


def device_here(table: str, scale: str, device: str = "auto") -> str | None:
    """This machine's name in the device column if the table has rows of it, else None: those with most seeds."""
    here = provenance(str(choose_device(device)))["device"]
    path = readable_file(scale, table)
    return here if path and here in set(pd.read_csv(path, usecols=["device"])["device"]) else None


def measured_scale(table: str, scale: str) -> str:
    """The scale itself if the table was measured at it, else `desk`, whose results come with the project."""
    return scale if readable_file(scale, table) else "desk"


def tables_of(
    target: str, scale: str, device: str | None = None, lam: float = 1.0, variant: str = ""
) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table) for everything that a target shows. variant: "" or DISTINCT."""
    if target == "table1":
        return [
            (
                f"Table 1, {name}{variant}: {metric}={power(HEADLINE[metric])}, %",
                compatibility_table("table1", scale, protocol, device, lam, variant),
            )
            for protocol, (name, metric) in PROTOCOLS.items()
        ]
    heading = {
        "table2": "Table 2: own accuracy of models trained with BCT, ours (paper), %",
        "table8": "Table 8: all operating points, ours (paper), %",
        "tradeoff": "Own and cross accuracy over lambda (not in the paper), %",
    }[target]
    return [(heading + variant, accuracy_table(target, scale, device, lam, variant))]


def print_table(target: str, scale: str, device: str = "auto", lam: float = 1.0) -> None:
    """The target's tables on the terminal, of this machine's runs if it has any."""
    device = device_here(target, scale, device)
    for heading, table in tables_of(target, scale, device, lam):
        print(heading)
        print(table.to_string())
        print()
    print(provenance_text(target, scale, device))


def markdown(table: pd.DataFrame) -> str:
    """A table for the README."""
    head = [table.index.name, *table.columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for index, row in zip(table.index, table.values, strict=True):
        lines.append("| " + " | ".join([index, *map(str, row)]) + " |")
    return "\n".join(lines)
