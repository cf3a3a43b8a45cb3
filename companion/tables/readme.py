"""The generated parts of README.md and docs/: `python -m companion.tables.readme` writes them from the results."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bctlib.base.errors import BctError
from bctlib.base.files import replace_atomically
from bctlib.base.locations import PROJECT
from companion.tables.cells import PROTOCOLS, View
from companion.tables.claims.ledger import highlights_section, ledger_section
from companion.tables.distortions import distortions_section
from companion.tables.guide import backfill_section, guide_section, own_section, seeds_section
from companion.tables.pairs import compatibility_table
from companion.tables.shown.recipe import predictions_section, search_section
from companion.tables.tables import markdown, provenance_text
from companion.tables.training_time import training_section


def results_section(scale: str = "desk") -> str:
    """Tables 1b and 1c side by side, with where the numbers come from."""
    halves = []
    for protocol, (name, metric) in PROTOCOLS.items():
        table = compatibility_table("table1", View(scale), protocol)
        half = table[[metric, "paper", "Eq. 2", "update gain", "paper: gain"]]
        halves.append(half.rename(columns={metric: f"{name} {metric}", "paper": f"{name} paper"}))
    both = pd.concat(halves, axis=1)
    both.index.name = "(query, gallery)"
    return f"{markdown(both)}\n\n*In per cent; {provenance_text('table1', View(scale))}.*"


def with_section(text: str, name: str, section: str, path: Path = PROJECT / "README.md") -> str:
    """The text of `path` with the generated part of that name replaced. Raises BctError if its marks are missing."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise BctError(f"{path} must hold the marks {begin} and {end} once each")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{section}\n{end}{rest.split(end)[1]}"


HIGHLIGHTS = (
    "independent-zero", "l2-eq2", "lwf-eq2", "bct-eq2", "sys-eq2", "bct-cost", "deep-256d-eq2", "chain-31", "reid-bct",
    "backfill-rises",
)  # fmt: skip
"""The claims that the front page shows: the main statement of each table, independent of its verdict."""

SECTIONS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "training": training_section,
        "results": results_section,
        "claims": lambda: highlights_section(HIGHLIGHTS),
    },
    "docs/claims.md": {"ledger": ledger_section},
    "docs/which-method.md": {
        "guide": guide_section,
        "own": own_section,
        "backfill": backfill_section,
        "runs": seeds_section,
    },
    "docs/commands.md": {"training": training_section},
    "docs/data.md": {"distortions": distortions_section},
    "docs/recipe.md": {"search": search_section, "predictions": predictions_section},
}
"""For each page the functions that generate the text between its pairs of marks."""


def with_sections(text: str, page: str = "README.md") -> str:
    """The text of a page (a key of SECTIONS) with every generated part made from the committed results."""
    for name, make in SECTIONS[page].items():
        text = with_section(text, name, make(), PROJECT / page)
    return text


def update_pages() -> None:
    """Write the committed results into every page of SECTIONS."""
    for page in SECTIONS:
        path = PROJECT / page
        text = with_sections(path.read_text(encoding="utf-8"), page)
        replace_atomically(path, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    try:
        update_pages()
    except BctError as error:
        sys.exit(str(error))
