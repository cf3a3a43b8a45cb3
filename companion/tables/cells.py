"""One measured quantity over seeds, and how numbers, pairs and operating points are written.

The paper's printed numbers as data, with their table and row (Tables 1 to 5 and 7 to 9; Table 6 has none).

`paper_numbers.csv` has the columns table, query_model, gallery_model, protocol, metric, operating_point, value, note.
Names are those of the results (`companion.results`), so that the two can be joined; the paper's own models
that occur nowhere else are

- Tables 3 and 7: new-deep, new-deep-256d, new-relu (towards old); old-ns and new-from-ns (Norm-Softmax);
  old-softmax and new-from-softmax; old-25 and new-from-25; old-90 and new-from-90;
- Tables 4 and 9: phi1, phi2 (BCT towards phi1), phi3 (BCT towards phi2) and the paragons phi2*, phi3* (no BCT).

Values stand as printed: accuracies and gains in per cent, `compatible` 1 for a tick and 0 for a cross,
`training_share` and `embedding_dimension` (protocol "training") from the tables of settings. A printed dash has no
row. `note` tells misprints, and where a number can be checked against no second table. The paper prints TNIR for
what it calls TPIR in the text; here it is TPIR@FPIR. Table 5 prints its pairs as (old, new): its rows keep that
direction, query_model first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from bctlib.base.errors import BctError
from bctlib.metrics import is_compatible
from bctlib.models import find_model
from companion.experiments import made_by
from companion.pairs import Pair
from companion.results import load_rows, mean_and_half_width, point_text, summarise

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
    seeds: tuple[int, ...] = ()

    def text(self, digits: int = 1, sign: bool = False) -> str:
        spread = "" if math.isnan(self.half_width) else f" ± {self.half_width:.{digits}f}"
        return f"{self.mean:{'+' if sign else ''}.{digits}f}{spread}"

    def minus(self, other: "Cell") -> "Cell":
        """The difference, paired by seed: what two models share with one old model drops out of the interval.

        Seeds that only one of the two has are left out. Raises BctError where no seed is left.
        """
        theirs = dict(zip(other.seeds, other.values, strict=True))
        both = {seed: value for seed, value in zip(self.seeds, self.values, strict=True) if seed in theirs}
        if not both:
            raise BctError(f"no seed was measured on both sides: {self.seeds} and {other.seeds}")
        differences = tuple(value - theirs[seed] for seed, value in both.items())
        mean, half_width = mean_and_half_width(differences)
        return Cell(mean, half_width, differences, tuple(both))


def pair_text(pair: Pair) -> str:
    """`(new-bct, old)`: query model first, as in the paper's Tables 1 to 4."""
    return f"({pair[0]}, {pair[1]})"


class MeasuredCells(dict[tuple[str, ...], Cell]):
    """The cells of a table; raises NotMeasured, naming table and pair, where one is asked for that is not there."""

    def __init__(self, table: str, scale: str, cells: Mapping[tuple[str, ...], Cell]):
        super().__init__(cells)
        self.table, self.scale = table, scale

    def __missing__(self, key: tuple[str, ...]) -> Cell:
        query, gallery, *_, metric, point = key
        what = f"{metric} {point}".strip()
        raise NotMeasured(
            f"{self.table} has no {what} of {pair_text((query, gallery))} at {self.scale} scale: "
            f"run `./reproduce.sh {made_by(self.table)} --scale {self.scale}` first, if no training diverged"
        )


def measured(table: str, scale: str, device: str | None = None) -> MeasuredCells:
    """Every cell of a table by (query model, gallery model, protocol, metric, operating point)."""
    names = ["query_model", "gallery_model", "protocol", "metric", "operating_point"]
    summary = summarise(load_rows(scale, table, device))
    cells = {
        tuple(row[name] for name in names): Cell(row["mean"], row["half_width"], row["values"], row["seeds"])
        for row in summary.to_dict("records")
    }
    return MeasuredCells(table, scale, cells)


class NotMeasured(BctError):
    """A number that is not among the results: the run for it was not made, or its training diverged."""


def not_measured(table: str, lam: float) -> NotMeasured:
    """The error where a table has no numbers of a run at this lambda."""
    return NotMeasured(
        f"{table} was not measured at lambda {lam:g}: run `./reproduce.sh {made_by(table)} -p lam {lam:g}` first"
    )


def first_seed(rows: pd.DataFrame, pairs: Sequence[Pair], table: str, lam: float) -> pd.DataFrame:
    """Those rows that are of the first seed of a run at this lambda.

    pairs: by their names at this lambda. Raises NotMeasured where none of those that have a lambda is there.
    """
    bound = {pair for pair in pairs if any(find_model(name).old for name in pair)}
    there = [pair in bound for pair in zip(rows["query_model"], rows["gallery_model"], strict=True)]
    if not any(there):
        raise not_measured(table, lam)
    return rows[rows["seed"] == rows["seed"][there].min()]


def number(value: float | None, digits: int = 1) -> str:
    return DASH if value is None or math.isnan(value) else f"{value:.{digits}f}"


def compatible_text(new_old: Cell, old_old: Cell) -> str:
    """Eq. 2 seed by seed: `yes`, `no`, or how many of the seeds satisfy it."""
    gains = new_old.minus(old_old).values
    kept = sum(is_compatible(gain, 0) for gain in gains)
    n = len(gains)
    return "yes" if kept == n else "no" if kept == 0 else f"{kept} of {n} seeds"


def power(point: str) -> str:
    """An operating point as the paper writes it: 1e-4; ranks stay as they are."""
    return point if float(point) >= 1 else f"1e-{round(-math.log10(float(point)))}"


PAPER_NUMBERS = Path(__file__).with_name("paper_numbers.csv")
KEY = ["table", "query_model", "gallery_model", "protocol", "metric", "operating_point"]


def load_paper_numbers() -> pd.DataFrame:
    """All printed numbers: the columns of the CSV, all text but `value` (float64); no missing values."""
    return _table().copy()


def paper_value(
    table: str, query_model: str, gallery_model: str, protocol: str, metric: str, operating_point: float | str = ""
) -> float | None:
    """One printed number in the paper's unit (per cent), or None where the paper prints none (or a dash).

    table: "table1" ... "table9". operating_point: a number or its text ("" for mAP), so 1e-4 and "0.0001" are one.
    """
    return _values().get((table, query_model, gallery_model, protocol, metric, point_text(operating_point)))


@cache
def _table() -> pd.DataFrame:
    text = {name: str for name in [*KEY, "note"]}
    return pd.read_csv(PAPER_NUMBERS, dtype=text | {"value": float}, keep_default_na=False)


@cache
def _values() -> dict[tuple[str, ...], float]:
    table = _table()
    return dict(zip(table[KEY].itertuples(index=False, name=None), table["value"].tolist(), strict=True))
