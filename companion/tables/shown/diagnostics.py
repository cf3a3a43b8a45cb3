"""The diagnostics of trained models as a table."""

from collections.abc import Iterator

import pandas as pd

from bctlib.models import MODELS
from companion.measure.diagnostics import ACCURACY, DIAGNOSTICS, EMBEDDING, ENERGY, HEAD, LOSS, RATIO, TRAINING
from companion.tables.cells import DASH, Cell, MeasuredCells, View

COLUMNS = {
    "directions of embeddings": (EMBEDDING, RATIO),
    "directions of head rows": (HEAD, RATIO),
    "energy in the old span, %": (EMBEDDING, ENERGY),
    "final loss": (TRAINING, LOSS),
    "training accuracy, %": (TRAINING, ACCURACY),
}
"""For each column, protocol and metric of the results."""


def diagnostics_cells(view: View) -> dict[str, dict[str, Cell]]:
    """For each model, in order of the models' list, its measured columns. Raises as `View.cells` does."""
    cells = view.cells(DIAGNOSTICS)
    return {name: dict(_columns(name, cells)) for name in _models(cells)}


def diagnostics_table(view: View) -> pd.DataFrame:
    """Directions (participation ratio), energy in the old span, loss and accuracy of each model, means over seeds."""
    found = diagnostics_cells(view)
    rows = {
        view.name(name): {column: cells[column].text() if column in cells else DASH for column in COLUMNS}
        for name, cells in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _models(cells: MeasuredCells) -> list[str]:
    measured = {key[0] for key in cells}
    return [name for name in MODELS if name in measured]


def _columns(name: str, cells: MeasuredCells) -> Iterator[tuple[str, Cell]]:
    for column, (protocol, metric) in COLUMNS.items():
        for (query, _, *of), cell in cells.items():
            if (query, *of[:2]) == (name, protocol, metric):
                yield column, cell
