"""Executes the committed notebooks again at their defaults: `python -m dev.refresh_notebooks [NAME ...]`.

papermill writes each to a temporary file. The metadata of the run (times, papermill's own) are removed, and the file
replaces the committed notebook only after it has run to its end.
"""

import sys
import tempfile
from pathlib import Path

import nbformat

from bctlib.base.errors import BctError
from bctlib.base.files import replace_atomically
from bctlib.base.locations import notebooks_dir
from companion.launcher.jupyter.lab import update_first_page
from companion.launcher.watched_process import run_notebook


def without_traces(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The executed notebook with outputs and execution counts, but without the metadata of the run."""
    for metadata in (notebook.metadata, *(cell.metadata for cell in notebook.cells)):
        for key in ("papermill", "widgets", "execution"):
            metadata.pop(key, None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
        if cell.cell_type == "code":  # an emptied progress display
            cell.outputs = [out for out in cell.outputs if out.get("data") != {"text/plain": ""}]
    return notebook


def refresh(path: Path) -> None:
    """Execute one notebook and replace it. Raises BctError if it fails; the committed one then stays unchanged."""
    with tempfile.TemporaryDirectory(prefix="bct-refresh-") as folder:
        output = Path(folder) / path.name
        if status := run_notebook(path, output, {}):
            raise BctError(f"{path.name} failed with status {status}; the committed notebook is unchanged")
        notebook = without_traces(nbformat.read(output, as_version=4))
        replace_atomically(path, lambda temporary: nbformat.write(notebook, str(temporary)))


def main(names: list[str]) -> int:
    """Refresh the named notebooks (file names), or all of them, and return the exit status."""
    try:
        for path in sorted(notebooks_dir().glob("*.ipynb")):
            if not names or path.name in names:
                refresh(path)
                print(f"{path.name} executed")
        update_first_page()  # a title may be new
    except BctError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
