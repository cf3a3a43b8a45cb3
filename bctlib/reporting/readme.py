"""The README's table of results, generated: `python -m bctlib.reporting.readme` writes it anew."""

import sys
from pathlib import Path

import pandas as pd

from bctlib.errors import BctError
from bctlib.files import replace_atomically
from bctlib.locations import PROJECT
from bctlib.reporting.cells import PROTOCOLS
from bctlib.reporting.pair_tables import compatibility_table
from bctlib.reporting.tables import markdown, provenance_text

BEGIN, END = "<!-- results: generated -->", "<!-- results: end -->"


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


def with_results(text: str, section: str) -> str:
    """The README with its generated part replaced. Raises BctError when the marks are missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise BctError(f"README.md must hold the marks {BEGIN} and {END} once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{section}\n{END}{rest.split(END)[1]}"


def update_readme(path: Path = PROJECT / "README.md") -> None:
    """Write the committed results into the README."""
    text = with_results(path.read_text(encoding="utf-8"), results_section())
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    try:
        update_readme()
    except BctError as error:
        sys.exit(str(error))
