"""JupyterLab on the notebooks, opened at their first page: `./reproduce.sh lab [ARGS]`.

The first page, `notebooks/README.md`, says what to read; its list of the notebooks is generated from their own titles:
`python -m companion.launcher.lab` writes it anew, and so does refreshing a notebook.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import nbformat

from bctlib.base import locations
from bctlib.base.errors import BctError
from bctlib.base.files import replace_atomically

FIRST_PAGE = "README.md"
SETTINGS = Path(__file__).with_name("jupyter")
"""A Jupyter configuration folder: root and first page, Markdown shown rendered, no question about news."""


def command(words: Sequence[str]) -> list[str]:
    """How JupyterLab is called with the user's own `words`. Raises BctError when it is not installed here."""
    if find_spec("jupyterlab") is None:
        raise BctError(f"JupyterLab is missing: install it with `{sys.executable} -m pip install jupyterlab`")
    return [sys.executable, "-P", "-m", "jupyterlab", *words]


def environment(outside: Mapping[str, str]) -> dict[str, str]:
    """The variables of the server and, through it, of every kernel.

    The kernel `python3` is this interpreter, whatever kernel of that name the user has, and finds this bctlib.
    """
    settings = [str(SETTINGS), *filter(None, [outside.get("JUPYTER_CONFIG_PATH")])]
    modules = [str(locations.PROJECT), *filter(None, [outside.get("PYTHONPATH")])]
    return {
        **outside,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(settings),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": os.pathsep.join(modules),
        "PYDEVD_DISABLE_FILE_VALIDATION": outside.get("PYDEVD_DISABLE_FILE_VALIDATION", "1"),
    }


def open_lab(words: Sequence[str]) -> None:
    """Become the JupyterLab server. Raises BctError as `command` does."""
    called = command(words)
    os.chdir(locations.notebooks_dir())
    os.execve(called[0], called, environment(os.environ))


def list_of_notebooks(folder: Path | None = None) -> str:
    """A Markdown list of the notebooks in their order, each with its title. Raises BctError for one without a title."""
    lines = []
    for path in sorted((folder or locations.notebooks_dir()).glob("*.ipynb")):
        first = nbformat.read(path, as_version=4).cells[0]
        title = re.match(r"# (.+)", first.source)
        if first.cell_type != "markdown" or not title:
            raise BctError(f"{path} must begin with a Markdown cell whose first line is its title: # ...")
        lines.append(f"* [{path.stem}]({path.name}): {title[1].strip()}")
    return "\n".join(lines)


def update_first_page(folder: Path | None = None) -> None:
    """Write the list of the notebooks into the first page. Raises BctError when its marks are missing."""
    from companion.tables.readme import with_section  # takes seconds, for which opening the lab need not wait

    page = (folder or locations.notebooks_dir()) / FIRST_PAGE
    text = with_section(page.read_text(encoding="utf-8"), "notebooks", list_of_notebooks(folder), page)
    replace_atomically(page, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    update_first_page()
