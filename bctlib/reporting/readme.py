"""The README's generated parts, results and claims: `python -m bctlib.reporting.readme` writes them anew."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bctlib.errors import BctError
from bctlib.files import replace_atomically
from bctlib.locations import PROJECT
from bctlib.reporting.cells import PROTOCOLS
from bctlib.reporting.claims.ledger import claims_section
from bctlib.reporting.pair_tables import compatibility_table
from bctlib.reporting.tables import markdown, provenance_text


def results_section(scale: str = "desk") -> str:
    """Tables 1b and 1c side by side, with where the numbers come from."""
    halves = []
    for protocol, (name, metric) in PROTOCOLS.items():
        table = compatibility_table("table1", scale, protocol)
        half = table[[metric, "paper", "Eq. 2", "update gain", "paper: gain"]]
        halves.append(half.rename(columns={metric: f"{name} {metric}", "paper": f"{name} paper"}))
    both = pd.concat(halves, axis=1)
    both.index.name = "(query, gallery)"
    return f"{markdown(both)}\n\n*In per cent; {provenance_text('table1', scale)}.*"


def with_section(text: str, name: str, section: str, path: Path = PROJECT / "README.md") -> str:
    """The text of `path` with its generated part of that name replaced. Raises BctError when its marks are missing."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise BctError(f"{path} must hold the marks {begin} and {end} once each")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{section}\n{end}{rest.split(end)[1]}"


SECTIONS: dict[str, Callable[[], str]] = {"results": results_section, "claims": claims_section}
"""What each pair of marks in the README holds."""


def with_sections(text: str) -> str:
    """The README with every generated part made from the committed results."""
    for name, make in SECTIONS.items():
        text = with_section(text, name, make())
    return text


def update_readme(path: Path = PROJECT / "README.md") -> None:
    """Write the committed results into the README."""
    text = with_sections(path.read_text(encoding="utf-8"))
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    try:
        update_readme()
    except BctError as error:
        sys.exit(str(error))
