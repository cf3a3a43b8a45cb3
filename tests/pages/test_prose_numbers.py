"""No result is typed into prose: pages and notebooks take them from the committed results when they are generated."""

import re

import nbformat
import pytest
from pages import page_text

from bctlib.base.locations import notebooks_dir
from companion.tables import readme

RESULT = re.compile(r"[±]\s*\d|[+−]\d+\.\d")
"""An interval, or a signed difference with a decimal: how results are written, and the paper's own numbers are not."""


@pytest.mark.parametrize("path", sorted(notebooks_dir().glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebooks_prose_types_no_result(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            assert not RESULT.search(cell.source), cell.source


@pytest.mark.parametrize(
    "page", ["README.md", "docs/claims.md", "docs/commands.md", "docs/recipe.md", "docs/which-method.md"]
)
def test_a_page_types_no_result_outside_its_generated_parts(page):
    text = page_text(page)
    for name in readme.SECTIONS[page]:
        begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
        text = text[: text.index(begin)] + text[text.index(end) :]
    assert not RESULT.search(text), RESULT.search(text)


def test_the_pattern_finds_results():
    assert RESULT.search("it is 61.4 ± 1.7 here") and RESULT.search("by −2.6 points") and not RESULT.search("26.7 %")
