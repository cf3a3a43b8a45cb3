"""Opens JupyterLab at the first page of the notebooks: `./reproduce.sh lab [ARGS]`.

The first page is `notebooks/README.md`. Its list of notebooks is generated from their titles by
`python -m companion.launcher.jupyter.lab`, and whenever a notebook is refreshed.
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
from companion.launcher.threads import with_threads

FIRST_PAGE = "README.md"
SETTINGS = Path(__file__).parent
"""A Jupyter configuration folder: root folder, first page, rendered Markdown, no news prompt."""


def command(words: Sequence[str]) -> list[str]:
    """The command that starts JupyterLab with the user's `words`. Raises BctError if it is not installed."""
    if find_spec("jupyterlab") is None:
        raise BctError(f"JupyterLab is missing: install it with `{sys.executable} -m pip install jupyterlab`")
    return [sys.executable, "-P", "-m", "jupyterlab", *words]


def environment(outside: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of the server and of every kernel that it starts.

    The kernel `python3` is this interpreter, even if the user has another kernel of that name, and imports this bctlib.
    Kernels keep to one thread, as runs of the launcher do, unless OMP_NUM_THREADS is set.
    """
    settings = [str(SETTINGS), *filter(None, [outside.get("JUPYTER_CONFIG_PATH")])]
    modules = [str(locations.PROJECT), *filter(None, [outside.get("PYTHONPATH")])]
    return {
        **with_threads(outside),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(settings),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": os.pathsep.join(modules),
        "PYDEVD_DISABLE_FILE_VALIDATION": outside.get("PYDEVD_DISABLE_FILE_VALIDATION", "1"),
    }


def open_lab(words: Sequence[str]) -> None:
    """Replace this process by the JupyterLab server. Raises BctError as `command` does."""
    called = command(words)
    os.chdir(locations.notebooks_dir())
    os.execve(called[0], called, environment(os.environ))


def list_of_notebooks(folder: Path | None = None) -> str:
    """A Markdown list of the notebooks in order, each with its title. Raises BctError for one without a title."""
    lines = []
    for path in sorted((folder or locations.notebooks_dir()).glob("*.ipynb")):
        first = nbformat.read(path, as_version=4).cells[0]
        title = re.match(r"# (.+)", first.source)
        if first.cell_type != "markdown" or not title:
            raise BctError(f"{path} must begin with a Markdown cell whose first line is its title: # ...")
        lines.append(f"* [{path.stem}]({path.name}): {title[1].strip()}")
    return "\n".join(lines)


def update_first_page(folder: Path | None = None) -> None:
    """Write the list of notebooks into the first page. Raises BctError if the page lacks the marks."""
    from companion.tables.readme import with_section  # takes seconds, which opening the lab does not need

    page = (folder or locations.notebooks_dir()) / FIRST_PAGE
    text = with_section(page.read_text(encoding="utf-8"), "notebooks", list_of_notebooks(folder), page)
    replace_atomically(page, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    update_first_page()
