"""Tables of the live upgrade: accuracy, storage, embedded images, recall and prototypes at every step.

A `Line` is one quantity by step; the figure of the upgrade draws the same lines.
"""

from collections.abc import Mapping

import pandas as pd

from bctlib.models import find_model
from bctlib.upgrade.serve.steps import DAY_0, END, NEW_ITEMS, STEPS
from companion.curves import (
    ADDED,
    APPROXIMATE,
    ATTENTION,
    AVERAGE,
    BYTES,
    EMBEDDED,
    FLAT,
    INSERTED,
    LARGEST,
    LOOSE,
    RANDOM,
    RANK,
    RECALL_1,
    RECALL_10,
    STRICT,
    TEMPERATURE,
    TOMBSTONES,
    TWO_THRESHOLDS,
    upgrade_name,
)
from companion.experiments import UPGRADE_PAIRS, TableSpec
from companion.pairs import Pair
from companion.tables.cells import DASH, Cell, View

Cells = Mapping[tuple[str, ...], Cell]
Line = dict[str, Cell]
"""A quantity by step."""


def pairs(compatible: bool | None = None) -> list[Pair]:
    """(new model, old model): all, the compatible ones, or the others."""
    return [(q, g) for q, g in UPGRADE_PAIRS if compatible is None or (find_model(q).old == g) == compatible]


def line(cells: Cells, pair: Pair, protocol: str, metric: str) -> Line:
    """The quantity at each measured step, in the order of steps."""
    return {step: cells[key] for step in STEPS if (key := (*pair, protocol, metric, step)) in cells}


def practices(cells: Cells, metric: str, view: View, order: str = RANDOM, ending: str = "") -> dict[str, Line]:
    """An accuracy of flat indexes by practice: dual write for the incompatible model, one index for the others.

    At the strict operating point also with a threshold for each model's vectors. ending: suffix of the metric's name.
    """
    lines = {}
    for query, gallery in [*pairs(False), *pairs(True)]:
        mixed = (query, gallery) in pairs(True)
        name = f"{view.name(query)}, {'one index' if mixed else 'dual write'}"
        protocol = upgrade_name(FLAT, order if mixed else RANDOM)
        lines[name] = line(cells, (query, gallery), protocol, metric + ending)
        if mixed and metric == STRICT:
            apart = line(cells, (query, gallery), protocol, TWO_THRESHOLDS + ending)
            lines[f"{name}, a threshold per model"] = apart
    return {name: each for name, each in lines.items() if each}


LESS = "… less dual write"
_TITLES = {STRICT: "TPIR@FPIR=1e-2", LOOSE: "TPIR@FPIR=1e-1", RANK: "rank 1"}


def upgrade_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """(heading, table) of everything that does not depend on the machine."""
    cells = view.cells(spec.name)
    found = [
        (f"{spec.heading}, {title}, classes of day 0, backfilled in random order, %", accuracy(cells, metric, view))
        for metric, title in _TITLES.items()
    ]
    found += [
        (f"{spec.heading}, {_TITLES[STRICT]}, the same with the largest classes first, %", largest_first(cells, view)),
        (f"{spec.heading}, {_TITLES[LOOSE]}, classes added after the new model came, %", added_classes(cells, view)),
        (f"{spec.heading}, what is held and done, G1 and G2 on average", held(cells, view)),
        (f"{spec.heading}, what approximate indexes find of what a flat one finds, %", recalls(cells, view)),
        ("Prototypes by average and by attention, %", prototypes(cells, view)),
    ]
    return [(heading, table) for heading, table in found if len(table)]


def _table(lines: dict[str, dict[str, str]], index: str) -> pd.DataFrame:
    present = [step for step in STEPS if any(step in each for each in lines.values())]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=present).fillna(DASH)
    return table.rename_axis(index)


def _texts(of: Line, digits: int = 1, sign: bool = False) -> dict[str, str]:
    return {step: cell.text(digits, sign) for step, cell in of.items()}


def accuracy(cells: Cells, metric: str, view: View, ending: str = "") -> pd.DataFrame:
    """An accuracy at each step, by practice; below each row of one index its difference to dual write, by seed."""
    lines = practices(cells, metric, view, ending=ending)
    dual = {name: each for name, each in lines.items() if name.endswith("dual write")}
    rows: dict[str, dict[str, str]] = {}
    for name, each in lines.items():
        rows[name] = _texts(each)
        for other in dual.values() if name not in dual else ():
            shared = {step: each[step].minus(other[step]) for step in each if step in other}
            rows[f"{LESS}: {name}"] = _texts(shared, sign=True)
    return _table(rows, "model, practice")


def largest_first(cells: Cells, view: View) -> pd.DataFrame:
    """Accuracy at the strict operating point, with one threshold and with one for each model's vectors."""
    lines = practices(cells, STRICT, view, LARGEST)
    return _table({name: _texts(each) for name, each in lines.items() if "one index" in name}, "model, practice")


def added_classes(cells: Cells, view: View) -> pd.DataFrame:
    return _table(
        {name: _texts(each) for name, each in practices(cells, LOOSE, view, ending=ADDED).items()}, "model, practice"
    )


def held(cells: Cells, view: View) -> pd.DataFrame:
    """Megabytes of all indexes in use, images embedded and vectors inserted since day 0, tombstones."""
    rows: dict[str, dict[str, str]] = {}
    for pair in [*pairs(False), *pairs(True)]:
        for kind in (FLAT, *APPROXIMATE):
            for metric, digits, unit in ((BYTES, 2, 1e6), (EMBEDDED, 0, 1), (INSERTED, 0, 1), (TOMBSTONES, 0, 1)):
                of = line(cells, pair, upgrade_name(kind, RANDOM), metric)
                if (metric == EMBEDDED and kind != FLAT) or not any(cell.mean for cell in of.values()):
                    continue
                name = metric.replace("bytes", "megabytes")
                rows[f"{view.name(pair[0])}, {kind}, {name}"] = {
                    s: f"{c.mean / unit:,.{digits}f}" for s, c in of.items()
                }
    return _table(rows, "model, kind, quantity")


def recalls(cells: Cells, view: View) -> pd.DataFrame:
    rows = {
        f"{view.name(pair[0])}, {kind}, {metric.split()[0]}": _texts(each, 2)
        for pair in pairs(True)
        for kind in APPROXIMATE
        for metric in (RECALL_1, RECALL_10)
        if (each := line(cells, pair, upgrade_name(kind, RANDOM), metric))
    }
    return _table(rows, "model, kind, recall")


def prototypes(cells: Cells, view: View) -> pd.DataFrame:
    """Both kinds of prototype at each step, and the gain by attention, paired by seed."""
    rows = {}
    for pair in pairs(True):
        chosen = line(cells, pair, ATTENTION, TEMPERATURE)
        for metric, title in _TITLES.items():
            average, attention = (line(cells, pair, kind, metric) for kind in (AVERAGE, ATTENTION))
            for step in (DAY_0, NEW_ITEMS, END):
                if step in average and step in attention:
                    rows[f"{view.name(pair[0])}, {title}, {step}"] = {
                        "average": average[step].text(),
                        "attention": attention[step].text(),
                        "attention less average": attention[step].minus(average[step]).text(2, sign=True),
                        "temperatures": ", ".join(f"{each:g}" for each in chosen[DAY_0].values),
                    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model, accuracy, step")
