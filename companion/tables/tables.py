"""How each table of results is shown in notebooks, in the terminal and on pages."""

import math
from inspect import signature
from pkgutil import resolve_name

import pandas as pd

from bctlib.base.errors import UsageError
from companion.experiments import find_table
from companion.results import DISTINCT, readable_file
from companion.tables.cells import DESK, View
from companion.tables.claims.ledger import print_claims, reading_guide
from companion.tables.pairs import matrix_table, strict_table

__all__ = ["DESK", "DISTINCT", "View", "matrix_table", "strict_table"]  # notebooks import these from this module


def provenance_text(table: str, view: View) -> str:
    """One line under a table: scale, seeds, device, versions, commits."""
    rows = view.rows(table)
    seeds = ", ".join(map(str, sorted(rows["seed"].unique())))
    commits = ", ".join(sorted(rows["commit"].unique()))
    return (
        f"{view.scale} scale; seeds {seeds} (mean ± half of the 95 % interval); {rows['device'].iloc[0]}; "
        f"{rows['versions'].iloc[0]}; commit {commits}; pairs are (query model, gallery model)"
    )


def is_measured(table: str, scale: str) -> bool:
    """Whether there are results of the table at this scale."""
    return readable_file(scale, table) is not None


def measured_scale(table: str, scale: str) -> str:
    """The scale itself if the table was measured at it, else `desk`, because its results are committed."""
    return scale if is_measured(table, scale) else "desk"


def tables_of(table: str, view: View, variant: str = "") -> list[tuple[str, pd.DataFrame]]:
    """(heading, table) for every table that shows a table of results.

    variant: "", or for tables of pairs DISTINCT (without look-alikes). Raises UsageError for an unknown table
    or one without that variant, NotMeasured if nothing was measured at the view's lambda.
    """
    spec = find_table(table)
    show, view = resolve_name(spec.shown), view.of(table)
    if not variant:
        return show(spec, view)
    if "variant" not in signature(show).parameters:
        raise UsageError(f"{table} is not measured without look-alikes: expected a table of accuracies of pairs")
    return show(spec, view, variant)


def committed(table: str, view: View) -> View:
    """The committed results of desk scale if they have the table, else the view."""
    return DESK if is_measured(table, DESK.scale) else view


def show_run(table: str, view: View, variant: str = "") -> None:
    """Display the tables of a run in a notebook, and the committed ones of desk scale where they say more.

    Each table stands once if the run's numbers are among the committed ones. Raises as `tables_of` does.
    """
    from IPython.display import Markdown, display  # notebooks alone have it loaded

    run, best = view.of(table), committed(table, view).of(table)
    for each in [best] if _is_part(run, best, table) else [run, best]:
        for heading, frame in tables_of(table, each, variant):
            display(Markdown(f"**{heading}**"), frame)
        display(Markdown(f"*{provenance_text(table, each)}*"))


def show_guide(*sections: str) -> None:
    """Display the statements of these sections of the ledger with their verdicts at desk scale, in full width."""
    from IPython.display import display

    with pd.option_context("display.max_rows", None, "display.max_colwidth", None):
        display(reading_guide(*sections))


def _is_part(run: View, best: View, table: str) -> bool:
    """Whether all numbers of the run are among the committed ones."""
    names = ["seed", "query_model", "gallery_model", "protocol", "metric", "operating_point", "value"]
    ours, theirs = (view.rows(table)[names].fillna({"value": math.inf}).values for view in (run, best))  # NaN != NaN
    return run.lam == 1 and set(map(tuple, ours)) <= set(map(tuple, theirs))


def print_table(target: str, scale: str, device: str = "auto", lam: float = 1.0) -> None:
    """Print a table of results, from this machine's runs if there are any; for `claims` print the ledger."""
    if target == "claims":
        print_claims(scale)
        return
    view = View.here(target, scale, device, lam).of(target)
    for heading, table in tables_of(target, view):
        print(heading)
        print(table.to_string())
        print()
    print(provenance_text(target, view))


def markdown(table: pd.DataFrame) -> str:
    """A table for a Markdown page."""
    head = [table.index.name, *table.columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for index, row in zip(table.index, table.values, strict=True):
        lines.append("| " + " | ".join([index, *map(str, row)]) + " |")
    return "\n".join(lines)
