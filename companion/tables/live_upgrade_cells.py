"""The live upgrade from the results: cells by step, and the lines that tables and figures show."""

from collections.abc import Mapping

from companion.live_upgrade_names import FLAT, RANDOM, STRICT, TABLE, TWO_THRESHOLDS, UPGRADE_PAIRS, upgrade_name
from companion.pairs import Pair
from companion.tables.cells import Cell, measured, not_measured
from bctlib.upgrade.serve.steps import STEPS
from bctlib.models import find_model, with_lambda

Cells = Mapping[tuple[str, ...], Cell]
Line = dict[str, Cell]
"""A quantity by step."""


def upgrade_cells(scale: str, device: str | None = None, lam: float = 1.0) -> Cells:
    """The cells of the table. Raises BctError where nothing was measured at this lambda."""
    cells = measured(TABLE, scale, device)
    if not any(pair == key[:2] for key in cells for pair in pairs(lam, True)):
        raise not_measured(TABLE, lam)
    return cells


def pairs(lam: float = 1.0, compatible: bool | None = None) -> list[Pair]:
    """(new model, old model) by their names at this lambda: all, the compatible ones, or the others."""
    chosen = [(q, g) for q, g in UPGRADE_PAIRS if compatible is None or (find_model(q).old == g) == compatible]
    return [(with_lambda(query, lam), gallery) for query, gallery in chosen]


def line(cells: Cells, pair: Pair, protocol: str, metric: str) -> Line:
    """The quantity at each step at which it was measured, in order."""
    return {step: cells[key] for step in STEPS if (key := (*pair, protocol, metric, step)) in cells}


def practices(cells: Cells, metric: str, lam: float = 1.0, order: str = RANDOM, ending: str = "") -> dict[str, Line]:
    """An accuracy of flat indexes by practice: the incompatible model by dual write, the others in one index.

    At the strict operating point also with a threshold for each model's vectors. ending: of the metric's name.
    """
    lines = {}
    for query, gallery in [*pairs(lam, False), *pairs(lam, True)]:
        mixed = (query, gallery) in pairs(lam, True)
        name = f"{query}, one index" if mixed else f"{query}, dual write"
        protocol = upgrade_name(FLAT, order if mixed else RANDOM)
        lines[name] = line(cells, (query, gallery), protocol, metric + ending)
        if mixed and metric == STRICT:
            apart = line(cells, (query, gallery), protocol, TWO_THRESHOLDS + ending)
            lines[f"{name}, a threshold per model"] = apart
    return {name: each for name, each in lines.items() if each}
