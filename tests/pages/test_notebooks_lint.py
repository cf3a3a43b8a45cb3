"""Committed notebooks are tidy and run; the lint finds the faults it is there for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from notebook_lint import MAX_BYTES, faults
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from bctlib.base import locations
from bctlib.training.scales import SCALES
from companion.launcher.command_line import read_defaults
from companion.launcher.targets import TARGETS

NOTEBOOKS = sorted(locations.notebooks_dir().glob("*.ipynb"))
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_committed_notebook_is_tidy(path):
    assert faults(path) == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_target_has_a_notebook_with_the_parameters_the_launcher_sets(target):
    defaults = read_defaults(locations.notebooks_dir() / target.notebook)
    assert defaults["scale"] in SCALES
    assert isinstance(defaults["seeds"], list) and all(isinstance(seed, int) for seed in defaults["seeds"])
    assert defaults["device"] == "auto" and defaults["force"] is False
    assert set(target.parameters) <= set(defaults)


def executed(*sources: str) -> nbformat.NotebookNode:
    """A tidy notebook with a parameters cell and the given cells, as after one run."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": dict(KERNEL)})
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in ('scale = "desk"  # smoke or desk', *sources)]
    for count, cell in enumerate(notebook.cells, 1):
        cell.execution_count = count
    notebook.cells[0].metadata["tags"] = ["parameters"]
    return notebook


def with_output(notebook, output):
    notebook.cells[-1].outputs = [output]
    return notebook


def with_change(notebook, change):
    change(notebook)
    return notebook


SPOILED = {
    "defines helper": lambda: executed("def helper():\n    pass"),
    "assigns a lambda": lambda: executed("f = lambda x: x"),
    "imports torch": lambda: executed("import torch"),
    "imports os.path": lambda: executed("from os.path import join"),
    "display(say": lambda: executed("from companion.tables.reading import say\nif True:\n    say('unseen')"),
    "magic or shell": lambda: executed("!ls"),
    "more than literals": lambda: with_change(executed(), lambda n: n.cells[0].update(source="scale = str(1)  # no")),
    "one line with a comment": lambda: with_change(executed(), lambda n: n.cells[0].update(source="scale = 1")),
    "0 cells tagged": lambda: with_change(executed(), lambda n: n.cells[0].metadata.clear()),
    "kernelspec": lambda: with_change(executed(), lambda n: n.metadata.kernelspec.update(name="conda-env-bct")),
    "widget state": lambda: with_change(executed(), lambda n: n.metadata.update(widgets={})),
    "papermill's metadata": lambda: with_change(executed(), lambda n: n.metadata.update(papermill={})),
    "execution counts": lambda: with_change(executed("1"), lambda n: n.cells[1].update(execution_count=7)),
    "that papermill injected": lambda: with_change(
        executed("1"), lambda n: n.cells[1].metadata.update(tags=["injected-parameters"])
    ),
    "an error output": lambda: with_output(
        executed("1"), nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
    ),
    "on stderr": lambda: with_output(executed("1"), nbformat.v4.new_output("stream", name="stderr", text="warning")),
    "a widget output": lambda: with_output(
        executed("1"), nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}})
    ),
    "somebody's machine: /home/me": lambda: with_output(
        executed("1"), nbformat.v4.new_output("stream", name="stdout", text="read /home/me/x")
    ),
    f"at most {MAX_BYTES}": lambda: executed("# " + "x" * MAX_BYTES),
}


@pytest.mark.parametrize("said", SPOILED)
def test_the_lint_finds(tmp_path, said):
    nbformat.write(executed("import bctlib"), tmp_path / "tidy.ipynb")
    assert faults(tmp_path / "tidy.ipynb") == []
    nbformat.write(SPOILED[said](), tmp_path / "spoiled.ipynb")
    assert said in " ".join(faults(tmp_path / "spoiled.ipynb"))


def at_smoke_scale(notebook: nbformat.NotebookNode, path: Path) -> nbformat.NotebookNode:
    """The notebook as papermill would run it with `-p scale smoke`."""
    nbformat.write(notebook, path)
    return parameterize_notebook(load_notebook_node(str(path)), {"scale": "smoke"})


def run_nbval(notebook: nbformat.NotebookNode, folder: Path) -> subprocess.CompletedProcess:
    """nbval on a copy: cells must not fail, and those marked nbval-check-output must print what they printed.

    nbval cannot set parameters, so the copy carries the cell that papermill would inject. Results and figures are
    copied first: what is committed can be rendered, and nothing committed is overwritten.
    """
    folders = {"BCT_RESULTS": locations.results_dir(), "BCT_FIGURES": locations.figures_dir()}
    for name, committed in folders.items():
        if committed.exists():
            shutil.copytree(committed, folder / name)
    path = folder / "copy.ipynb"
    nbformat.write(at_smoke_scale(notebook, path), path)
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=900", "-p", "no:cacheprovider", "-q"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(path)],
        env=os.environ | {name: str(folder / name) for name in folders},
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_at_smoke_scale(path, tmp_path):
    answer = run_nbval(nbformat.read(path, as_version=4), tmp_path)
    assert answer.returncode == 0, answer.stdout[-3000:]


def test_running_a_notebook_finds_failures_and_changed_output(tmp_path):
    good, changed, failing = (tmp_path / name for name in ("good", "changed", "failing"))
    for folder in (good, changed, failing):
        folder.mkdir()
    notebook = executed("print(scale)")
    notebook.cells[1].metadata["tags"] = ["nbval-check-output"]
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="smoke\n")]
    assert run_nbval(notebook, good).returncode == 0
    notebook.cells[1].outputs[0].text = "desk\n"
    assert run_nbval(notebook, changed).returncode == 1
    assert run_nbval(executed("raise ValueError"), failing).returncode == 1
