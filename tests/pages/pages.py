"""The project's Markdown pages for the tests: their text, code blocks, headings and links."""

import re

from bctlib.base.locations import PROJECT

PAGES = (
    "README.md", "CONTRIBUTING.md", "notebooks/README.md",
    *(f"docs/{path.name}" for path in sorted((PROJECT / "docs").glob("*.md"))),
)  # fmt: skip
_FENCED = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page_text(page: str) -> str:
    """The whole of a page (a path in the project)."""
    return (PROJECT / page).read_text(encoding="utf-8")


def languages(page: str) -> list[str]:
    """The language that each code block of a page names."""
    return [language for language, _ in _FENCED.findall(page_text(page))]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in that language, in order."""
    return [code for named, code in _FENCED.findall(page_text(page)) if named == language]


def prose(page: str) -> str:
    """A page without its code blocks."""
    return _FENCED.sub("", page_text(page))


def anchors(page: str) -> list[str]:
    """The anchor that GitHub gives to each heading of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def links(page: str) -> list[str]:
    """Where the links and pictures of a page lead."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))
