"""Measured quantities: a cell over seeds, the view that returns cells, and the text of numbers, pairs and points.

Also the paper's printed numbers as data, with their table and row (Tables 1 to 5 and 7 to 9; Table 6 has none).

`paper_numbers.csv` has the columns table, query_model, gallery_model, protocol, metric, operating_point, value, note.
Names are those of the results (`companion.results`), so that the two can be joined; the paper's own models
that do not occur elsewhere are

- Tables 3 and 7: new-deep, new-deep-256d, new-relu (towards old); old-ns and new-from-ns (Norm-Softmax);
  old-softmax and new-from-softmax; old-25 and new-from-25; old-90 and new-from-90;
- Tables 4 and 9: phi1, phi2 (BCT towards phi1), phi3 (BCT towards phi2) and the paragons phi2*, phi3* (no BCT).

Values stand as printed: accuracies and gains in per cent, `compatible` 1 for a tick and 0 for a cross,
`training_share` and `embedding_dimension` (protocol "training") from the tables of settings. A printed dash has no
row. `note` names misprints, and numbers that no second table confirms. The paper's tables print TNIR for the quantity
that its text calls TPIR; the name here is TPIR@FPIR. Table 5 prints its pairs as (old, new): its rows keep that
direction, query_model first.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pandas as pd

from bctlib.base.errors import BctError
from bctlib.metrics import is_compatible
from bctlib.models import MODELS, find_model, with_lambda
from companion.experiments import find_experiment, made_by, own_lambdas
from companion.pairs import Pair
from companion.results import load_rows, mean_and_half_width, point_text, readable_file, summarise

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
        """The difference, paired by seed, so that the variation of a shared old model does not widen the interval.

        Seeds that only one of the two has are omitted. Raises BctError if no seed is left.
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


@dataclass(frozen=True)
class View:
    """Results at one scale, on one device, of a run at one lambda, with every model under its plain name.

    device: the text of the device column; None chooses the device with the most seeds (`load_rows`). lam: lambda of
    the run. Models that name their own lambda (`new-bct@10`) keep that name.
    """

    scale: str
    device: str | None = None
    lam: float = 1.0

    @classmethod
    def here(cls, table: str, scale: str, device: str = "auto", lam: float = 1.0) -> "View":
        """Results of this machine if the table has rows of it, otherwise of the device with the most seeds."""
        from bctlib.training.devices import choose_device, training_provenance  # loads torch

        here, path = training_provenance(choose_device(device))["device"], readable_file(scale, table)
        found = path and here in set(pd.read_csv(path, usecols=["device"])["device"])
        return cls(scale, here if found else None, lam)

    def of(self, table: str) -> "View":
        """This view; at lambda 1 if the table compares several lambdas."""
        return replace(self, lam=find_experiment(table).lambda_in(self.lam))

    def name(self, model: str) -> str:
        """The model's name in the results (`new-bct@0.5`)."""
        return with_lambda(model, self.lam)

    def text(self, pair: Pair) -> str:
        """The pair as tables and figures write it."""
        return pair_text((self.name(pair[0]), self.name(pair[1])))

    def rows(self, table: str) -> pd.DataFrame:
        """`load_rows` without the models of runs at other lambdas, under plain names.

        Raises BctError if the table was not measured at this scale, NotMeasured if it was not measured at this lambda.
        """
        known = {self.name(model): model for model in MODELS} | {name: name for name in own_lambdas(table)}
        rows = load_rows(self.scale, table, self.device)
        rows = rows[rows["query_model"].isin(known) & rows["gallery_model"].isin(known)]
        rows = rows.assign(**{side: rows[side].map(known) for side in ("query_model", "gallery_model")})
        if not any(map(_has_lambda, {*rows["query_model"], *rows["gallery_model"]})):
            raise not_measured(table, self.lam)
        return rows

    def first_seed(self, table: str) -> pd.DataFrame:
        """The rows of the run's first seed: the first seed with a model that has a lambda."""
        rows = self.rows(table)
        names = rows["query_model"].map(_has_lambda) | rows["gallery_model"].map(_has_lambda)
        return rows[rows["seed"] == rows["seed"][names].min()]

    def cells(self, table: str) -> "MeasuredCells":
        """Every cell by (query model, gallery model, protocol, metric, operating point). Raises as `rows` does."""
        names = ["query_model", "gallery_model", "protocol", "metric", "operating_point"]
        cells = {
            tuple(row[name] for name in names): Cell(row["mean"], row["half_width"], row["values"], row["seeds"])
            for row in summarise(self.rows(table)).to_dict("records")
        }
        return MeasuredCells(table, self, cells)


DESK = View("desk")
"""The committed results, which come with the project."""


def _has_lambda(model: str) -> bool:
    return find_model(model).old is not None


class MeasuredCells(dict[tuple[str, ...], Cell]):
    """The cells of a table; raises NotMeasured, naming table and pair, for a cell that does not exist."""

    def __init__(self, table: str, view: View, cells: Mapping[tuple[str, ...], Cell]):
        super().__init__(cells)
        self.table, self.view = table, view

    def __missing__(self, key: tuple[str, ...]) -> Cell:
        query, gallery, *_, metric, point = key
        what, scale = f"{metric} {point}".strip(), self.view.scale
        raise NotMeasured(
            f"{self.table} has no {what} of {self.view.text((query, gallery))} at {scale} scale: "
            f"run `./reproduce.sh {made_by(self.table)} --scale {scale}` first, if no training diverged"
        )


class NotMeasured(BctError):
    """A number that is missing in the results: it was not measured, or its training diverged."""


def not_measured(table: str, lam: float) -> NotMeasured:
    """The error for a table without numbers of a run at this lambda."""
    return NotMeasured(
        f"{table} was not measured at lambda {lam:g}: run `./reproduce.sh {made_by(table)} -p lam {lam:g}` first"
    )


def number(value: float | None, digits: int = 1) -> str:
    return DASH if value is None or math.isnan(value) else f"{value:.{digits}f}"


def compatible_text(new_old: Cell, old_old: Cell) -> str:
    """Eq. 2 seed by seed: `yes`, `no`, or the number of seeds that satisfy it."""
    gains = new_old.minus(old_old).values
    kept = sum(is_compatible(gain, 0) for gain in gains)
    n = len(gains)
    return "yes" if kept == n else "no" if kept == 0 else f"{kept} of {n} seeds"


def signed_gain(new_old: float, old_old: float, paragon: float) -> float | None:
    """Update gain (Eq. 9) in per cent, negative where Eq. 2 fails; None where the paragon gains nothing."""
    return 100 * (new_old - old_old) / (paragon - old_old) if paragon > old_old else None


def power(point: str) -> str:
    """An operating point as the paper writes it: 1e-4; ranks stay as they are."""
    return point if float(point) >= 1 else f"1e-{round(-math.log10(float(point)))}"


PAPER_NUMBERS = Path(__file__).with_name("paper_numbers.csv")
KEY = ["table", "query_model", "gallery_model", "protocol", "metric", "operating_point"]


def load_paper_numbers() -> pd.DataFrame:
    """All printed numbers: the columns of the CSV, all of them text except `value` (float64); no missing values."""
    return _table().copy()


def paper_value(
    table: str, query_model: str, gallery_model: str, protocol: str, metric: str, operating_point: float | str = ""
) -> float | None:
    """One printed number in the paper's unit (per cent), or None if the paper prints none (or a dash).

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
