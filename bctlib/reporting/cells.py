"""One measured quantity over seeds, and how numbers, pairs and operating points are written."""

import math
from dataclasses import dataclass

from bctlib.errors import BctError
from bctlib.experiments.pair_list import Pair
from bctlib.experiments.results import load_rows, mean_and_half_width, summarise
from bctlib.metrics import is_compatible

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


def measured(table: str, scale: str, device: str | None = None) -> dict[tuple[str, ...], Cell]:
    """Every cell of a table by (query model, gallery model, protocol, metric, operating point)."""
    names = ["query_model", "gallery_model", "protocol", "metric", "operating_point"]
    summary = summarise(load_rows(scale, table, device))
    return {
        tuple(row[name] for name in names): Cell(row["mean"], row["half_width"], row["values"], row["seeds"])
        for row in summary.to_dict("records")
    }


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
