"""The tables that each table of results is shown as, for notebooks, terminal and pages."""

import pandas as pd

from bctlib.base.provenance import provenance
from bctlib.training.devices import choose_device
from companion.experiments import find_experiment
from companion.measure.templates import DISTINCT
from companion.results import load_rows, readable_file
from companion.tables.backfill import fig3_tables, order_tables
from companion.tables.cells import HEADLINE, PROTOCOLS, power
from companion.tables.claims.ledger import print_claims
from companion.tables.pairs import accuracy_table, compatibility_table, matrix_table, strict_table
from companion.tables.reid import reid_tables
from companion.tables.upgrade import upgrade_tables

__all__ = ["DISTINCT", "matrix_table", "strict_table"]  # notebooks ask for these by this name

COMPATIBILITY = {"table1": "Table 1", "table3": "Table 3", "table4": "Table 4"}
OF_THEIR_OWN = {
    "table5": reid_tables,
    "fig3": fig3_tables,
    "backfill_orders": order_tables,
    "upgrade": upgrade_tables,
}
MATRICES = {"chain_matrix": "Versions of Table 4", "long_chain": "Chain of six versions (not in the paper)"}
ACCURACY = {
    "table2": "Table 2: own accuracy of models trained with BCT, ours (paper), %",
    "table7": "Table 7: all operating points of Table 3 and of other shares, ours (paper), %",
    "table8": "Table 8: all operating points, ours (paper), %",
    "table9": "Table 9: all operating points of the chain, ours (paper), %",
    "robustness_own": "Own accuracy of the models of Tables 3 and 7 (not in the paper), %",
    "stronger": "BCT bound more strongly, where it fails at lambda 1 (not in the paper), %",
    "tradeoff": "Own and cross accuracy over lambda (not in the paper), %",
}


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
    """(heading, table) for everything that a table of results is shown as. variant: "" or DISTINCT."""
    lam = find_experiment(target).lambda_in(lam)
    if target in COMPATIBILITY:
        return [
            (
                f"{COMPATIBILITY[target]}, {name}{variant}: {metric}={power(HEADLINE[metric])}, %",
                compatibility_table(target, scale, protocol, device, lam, variant),
            )
            for protocol, (name, metric) in PROTOCOLS.items()
        ]
    if target in OF_THEIR_OWN:
        return OF_THEIR_OWN[target](scale, device, lam)
    if target in MATRICES:
        return [
            (
                f"{MATRICES[target]}, {name}: {metric}={power(HEADLINE[metric])}, % (queries down, galleries across)",
                matrix_table(target, scale, protocol, device, lam),
            )
            for protocol, (name, metric) in PROTOCOLS.items()
        ]
    return [(ACCURACY[target] + variant, accuracy_table(target, scale, device, lam, variant))]


def print_table(target: str, scale: str, device: str = "auto", lam: float = 1.0) -> None:
    """What a target shows on the terminal: its tables, of this machine's runs if it has any, or the ledger."""
    if target == "claims":
        print_claims(scale)
        return
    device = device_here(target, scale, device)
    for heading, table in tables_of(target, scale, device, lam):
        print(heading)
        print(table.to_string())
        print()
    print(provenance_text(target, scale, device))


def markdown(table: pd.DataFrame) -> str:
    """A table for a Markdown page."""
    head = [table.index.name, *table.columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for index, row in zip(table.index, table.values, strict=True):
        lines.append("| " + " | ".join([index, *map(str, row)]) + " |")
    return "\n".join(lines)
