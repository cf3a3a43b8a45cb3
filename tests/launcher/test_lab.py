"""What `./reproduce.sh lab` starts and its first page; what a browser sees of it is in test_jupyterlab.py."""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from jupyterlab.commands import get_app_dir
from nbconvert import HTMLExporter
from traitlets.config.loader import PyFileConfigLoader

from bctlib.base import locations
from bctlib.base.errors import BctError
from companion.launcher import main
from companion.launcher.jupyter import lab

NOTEBOOKS = sorted(locations.notebooks_dir().glob("*.ipynb"))
PAGE = locations.notebooks_dir() / lab.FIRST_PAGE


def test_the_first_page_lists_the_notebooks_that_are_there():
    text = PAGE.read_text(encoding="utf-8")
    assert f"<!-- notebooks: generated -->\n{lab.list_of_notebooks()}\n<!-- notebooks: end -->" in text, (
        "a notebook came, went or has another title: python -m companion.launcher.jupyter.lab"
    )
    assert [path.name for path in NOTEBOOKS] == re.findall(r"^\* \[\w+\]\((.+?)\)", text, re.MULTILINE)
    assert all((PAGE.parent / link).exists() for link in re.findall(r"\]\((.+?)\)", text))


def test_the_list_is_written_anew(tmp_path):
    for name, title in (("01_b", "# Second: *it*"), ("00_a", "# First\n\nmore")):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(title)])
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    page = "before\n<!-- notebooks: generated -->\nold\n<!-- notebooks: end -->\nafter\n"
    (tmp_path / lab.FIRST_PAGE).write_text(page)
    lab.update_first_page(tmp_path)
    assert (tmp_path / lab.FIRST_PAGE).read_text().splitlines() == [
        "before", "<!-- notebooks: generated -->", "* [00_a](00_a.ipynb): First", "* [01_b](01_b.ipynb): Second: *it*",
        "<!-- notebooks: end -->", "after",
    ]  # fmt: skip
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), tmp_path / "02_c.ipynb")
    with pytest.raises(BctError, match="02_c.ipynb must begin with a Markdown cell"):
        lab.update_first_page(tmp_path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_committed_notebook_renders_without_a_kernel(path):
    notebook = nbformat.read(path, as_version=4)
    html, _ = HTMLExporter().from_notebook_node(notebook)
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    executed = any(cell.get("execution_count") for cell in notebook.cells)
    assert (pictures or not executed) and html.count('src="data:image/png;base64,') == len(pictures)
    assert "Traceback" not in html and 'data-mime-type="application/vnd.jupyter.stderr"' not in html


def test_lab_becomes_the_server_with_folders_meant_from_where_the_user_is(tmp_path, monkeypatch):
    called = {}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BCT_RESULTS", "mine")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    names = ("file", "words", "variables")
    monkeypatch.setattr(os, "execve", lambda *given: called.update(zip(names, given, strict=True)))
    assert main.main(["lab", "--port", "9999", "--no-browser"]) == 0
    assert called["file"] == sys.executable
    assert called["words"] == [sys.executable, "-P", "-m", "jupyterlab", "--port", "9999", "--no-browser"]
    assert Path.cwd() == locations.notebooks_dir()
    variables = called["variables"]
    assert variables["BCT_RESULTS"] == str(tmp_path / "mine")
    assert variables["PYTHONPATH"].split(os.pathsep) == [str(locations.PROJECT), "elsewhere"]
    assert variables["JUPYTER_PREFER_ENV_PATH"] == "1"
    assert variables["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0] == str(lab.SETTINGS)


def test_a_missing_jupyterlab_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    monkeypatch.setattr(os, "execve", lambda *given: pytest.fail("something was started"))
    assert main.main(["lab"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "JupyterLab is missing: install it with" in said


def test_the_server_opens_the_first_page():
    settings = PyFileConfigLoader("jupyter_lab_config.py", path=str(lab.SETTINGS)).load_config()
    assert settings.ServerApp.root_dir == str(locations.PROJECT)
    assert settings.LabApp.default_url == f"/lab/tree/{PAGE.relative_to(locations.PROJECT)}"
    assert settings.LabApp.news_url is None


def test_jupyterlab_has_the_settings_that_are_set():
    chosen = json.loads((lab.SETTINGS / "labconfig" / "default_setting_overrides.json").read_bytes())
    for plugin, values in chosen.items():
        extension, name = plugin.split(":")
        schema = json.loads((Path(get_app_dir()) / "schemas" / extension / f"{name}.json").read_bytes())
        assert set(values) <= set(schema["properties"])
