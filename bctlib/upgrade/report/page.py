"""The report as one self-contained HTML file, and the same content as JSON."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from bctlib.base.errors import BctError, UsageError
from bctlib.base.files import replace_atomically
from bctlib.upgrade.report.evidence.classes import SAME, WORSE, ClassChange
from bctlib.upgrade.report.figures import figures
from bctlib.upgrade.report.judge import Judgement
from bctlib.upgrade.report.measured.resampling import Interval
from bctlib.upgrade.report.verdict import RULE

HTML, JSON = "report.html", "report.json"
LISTED = 10
"""The most classes and table rows on the page; the JSON has all."""


@dataclass(frozen=True)
class UpgradePage:
    """A judgement as a page; `save` writes HTML and JSON."""

    judgement: Judgement

    def html(self) -> str:
        """The whole page."""
        return self._html(self.judgement.as_dict())

    def save(self, folder: str | Path) -> list[Path]:
        """Write report.html and report.json into `folder` (created if missing); each is complete or absent.

        Raises BctError where the folder cannot be written.
        """
        content = self.judgement.as_dict()
        texts = {HTML: self._html(content), JSON: json.dumps(content, indent=1, allow_nan=False) + "\n"}
        for name, text in texts.items():
            replace_atomically(Path(folder) / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
        return [Path(folder) / name for name in texts]

    def summary(self) -> str:
        """The answer with its reasons, notes and warnings as lines of text."""
        answer, evaluation = self.judgement.answer, self.judgement.evaluation
        notes = [f"note: {each}" for each in evaluation.notes] + [f"warning: {each}" for each in evaluation.warnings]
        return "\n".join([answer.headline, *(f"  {reason}" for reason in answer.reasons), *notes])

    def _html(self, content: dict) -> str:
        judgement = self.judgement
        worse = [each for each in judgement.classes if each.change == WORSE]
        sure = [each for each in worse if each.beyond_chance]
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("bctlib.upgrade.report", ""), autoescape=True, trim_blocks=True,
            lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        environment.filters |= {
            "percent": percent,
            "span": span,
            "points": in_points,
            "breakable": breakable,
            "count": lambda n: f"{n:,}",
        }
        return environment.get_template("page.html.jinja").render(
            judgement=judgement, content=content, rule=RULE, figures=figures(judgement), worse=worse,
            sure=sure, sure_better=_sure_better(judgement.classes), listed=(sure or worse)[:LISTED],
            n_same=sum(each.change == SAME for each in judgement.classes),
            ceilings=[loss.against for loss in judgement.points[0].losses],
            picture=lambda kind, row: judgement.pictures.get((kind, row)),
        )  # fmt: skip


def check_folder(folder: Path) -> None:
    """Raise the error of `save` before the work: for a file, or a folder that cannot be written or created."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder} is a file: expected a folder")
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise BctError(f"cannot write into {folder}: {existing} is not a writable folder")


def percent(value: float) -> str:
    """0.6315 as 63.15 (the unit is in the table's head)."""
    return f"{100 * value:.2f}"


def span(interval: Interval) -> str:
    """The borders of an interval, in per cent."""
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def in_points(interval: Interval) -> str:
    """The borders of a difference, in points of per cent, with their signs."""
    return f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"


def breakable(name: str) -> Markup:
    """A measure's name that a narrow column may break behind the @."""
    return escape(name).replace("@", Markup("@<wbr>"))


def _sure_better(changes: list[ClassChange]) -> int:
    return sum(each.beyond_chance and each.change != WORSE for each in changes)
