"""What the prose of a notebook quotes, computed from results when the notebook runs, so that no number is typed.

Pairs are written `"new-bct, old"` (query model, gallery model), operating points `"1:1 1e-4"` (TAR@FAR), `"1:N 1e-2"`
(TPIR@FPIR) and `"rank 1"`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from IPython.display import Markdown

from companion.experiments import find_table
from companion.pairs import TRADEOFF_MODELS
from companion.results import point_text
from companion.tables.cells import DESK, Cell, MeasuredCells, View, power, signed_gain

_METRICS = {
    "1:1": ("verification", "TAR@FAR"),
    "1:N": ("identification", "TPIR@FPIR"),
    "rank": ("identification", "rank"),
}
_OLD = "old, old"
_PARAGON = "new*, new*"


def say(text: str) -> Markdown:
    """The text as Markdown, with a real minus sign in front of numbers."""
    return Markdown(text.replace(" -", " −").replace("(-", "(−"))


def outcomes(predictions: Iterable[tuple[bool, str]]) -> str:
    """What became of numbered predictions, (came true, what was found) each, as lines of Markdown."""
    return "\n".join(
        f"{n}. **{'Came true' if came else 'Did not come true'}**: {found}."
        for n, (came, found) in enumerate(predictions, 1)
    )


@dataclass(frozen=True)
class Reading:
    """Numbers of results in the words of prose: of the first of the tables, a name or several, that holds a number.

    Raises NotMeasured for a number that is in none.
    """

    tables: str
    view: View = DESK

    @cached_property
    def cells(self) -> MeasuredCells:
        names = self.tables.split()
        found = {key: cell for name in reversed(names) for key, cell in self.view.of(name).cells(name).items()}
        return MeasuredCells(names[0], self.view, found)

    def cell(self, pair: str, point: str) -> Cell:
        """The accuracy of the pair at the point, in per cent, over seeds."""
        name, _, at = point.partition(" ")
        protocol, metric = _METRICS[name]
        query, gallery = (model.strip() for model in pair.split(","))
        return self.cells[query, gallery, protocol, metric, point_text(at)]

    def value(self, pair: str, point: str) -> str:
        """`69.3 ± 0.4`."""
        return self.cell(pair, point).text()

    def more(self, pair: str, base: str, point: str) -> str:
        """The accuracy of `pair` less that of `base`, paired by seed: `+0.9 ± 1.1`."""
        return self.cell(pair, point).minus(self.cell(base, point)).text(sign=True)

    def judged(self, pair: str, point: str) -> str:
        """The difference to the gallery model's own accuracy, and the verdict on Eq. 2: `holds (+0.9 ± 0.4)`."""
        difference = self._gap(pair, point)
        return f"{_verdict(difference)} ({difference.text(sign=True)})"

    def verdicts(self, pair: str) -> str:
        """Eq. 2 at every operating point: `holds at FAR = 1e-3, 1e-2, rank 1; fails at FPIR = 1e-3`."""
        found: dict[str, list[str]] = {}
        for point in self.points:
            found.setdefault(_verdict(self._gap(pair, point)), []).append(_words(point))
        return "; ".join(f"{verdict} at {', '.join(found[verdict])}" for verdict in _VERDICTS if verdict in found)

    def gain(self, pair: str, point: str, paragon: str = _PARAGON) -> float:
        """The update gain (Eq. 9) of the means over seeds, in per cent; negative where Eq. 2 fails.

        NaN where the paragon gains nothing.
        """
        gallery = pair.split(",")[1]
        old = self.cell(f"{gallery}, {gallery}", point).mean
        best = self.cell(paragon, point).mean
        gain = signed_gain(self.cell(pair, point).mean, old, best)
        return math.nan if gain is None else gain

    def gains(self, pair: str, points: Iterable[str], paragon: str = _PARAGON) -> str:
        """`46, 33, 3 and -34 %`."""
        texts = [f"{self.gain(pair, point, paragon):.0f}" for point in points]
        return f"{', '.join(texts[:-1])} and {texts[-1]} %" if len(texts) > 1 else f"{texts[0]} %"

    @property
    def points(self) -> tuple[str, ...]:
        """Every operating point of the table's accuracies, as this module writes them."""
        points = find_table(self.tables.split()[0]).points
        return tuple(
            f"{name} {power(each)}" for name, (_, metric) in _METRICS.items() for each in points.get(metric, ())
        )

    @property
    def seeds(self) -> str:
        """`5 seeds`."""
        count = len(self.cell(_OLD, self.points[0]).values)
        return f"{count} seed{'s' if count > 1 else ''}"

    def _gap(self, pair: str, point: str) -> Cell:
        gallery = pair.split(",")[1]
        return self.cell(pair, point).minus(self.cell(f"{gallery}, {gallery}", point))


_VERDICTS = ("holds", "is undecided", "fails", "is above in its one seed", "is below in its one seed")


def _verdict(difference: Cell) -> str:
    """Eq. 2 by the interval over seeds of the paired difference; one seed has none."""
    if math.isnan(difference.half_width):
        return _VERDICTS[3] if difference.mean > 0 else _VERDICTS[4]
    if abs(difference.mean) <= difference.half_width:
        return _VERDICTS[1]
    return _VERDICTS[0] if difference.mean > 0 else _VERDICTS[2]


def _words(point: str) -> str:
    name, _, at = point.partition(" ")
    return point if name == "rank" else f"{'FAR' if name == '1:1' else 'FPIR'} = {at}"


def verdicts_over_lambda(view: View) -> str:
    """Eq. 2 at both headline points for every lambda of the trade-off, as lines of Markdown.

    A model whose training diverged has no line.
    """
    read, measured = Reading("tradeoff", view), {query for query, *_ in view.cells("tradeoff")}
    return "\n".join(
        f"* {name.partition('@')[0]}, λ = {name.partition('@')[2] or 1}: "
        f"1:1 {read.judged(f'{name}, old', '1:1 1e-4')}; "
        f"1:N {read.judged(f'{name}, old', '1:N 1e-2')}"
        for name in TRADEOFF_MODELS
        if name in measured
    )
