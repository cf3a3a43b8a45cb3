"""Paper scale rehearsed: every notebook through the launcher, on a few generated images in the real layouts, one step.

A further notebook is a further line of NOTEBOOKS.
"""

from pathlib import Path

import nbformat
import pytest
from paper_data import write_paper_data

from companion.launcher import main, watched_process
from companion.results import load_rows

NOTEBOOKS = [
    ("tour", ("tour",)),
    ("table1", ("table1", "table2", "table8")),
    ("table3", ("table3", "table7", "robustness_own")),
    ("table4", ("table4", "table9", "chain_matrix")),
    ("table5", ("table5", "reid_hits")),
    ("fig3", ("fig3", "backfill_orders")),
    ("upgrade", ("upgrade", "upgrade_speed")),
]
"""A target, whose notebook is run as it is, and the tables of results that must lie there afterwards."""


@pytest.fixture(scope="module")
def paper_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_paper_data(tmp_path_factory.mktemp("paper data"))


@pytest.fixture(scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One store for all notebooks, as in real use."""
    return {f"BCT_{name}": str(tmp_path_factory.mktemp(name)) for name in ("STORE", "RESULTS", "FIGURES")}


@pytest.fixture
def rehearsal(paper_data, own_folders, tmp_path, monkeypatch) -> Path:
    for name, value in (own_folders | {"BCT_REHEARSAL": "1", "BCT_PAPER_DATA": str(paper_data)}).items():
        monkeypatch.setenv(name, value)
    for module in (watched_process, main):
        monkeypatch.setattr(module, "runs_dir", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(("target", "tables"), NOTEBOOKS)
def test_a_notebook_at_paper_scale(rehearsal, capfd, target, tables):
    status = main.main([target, "--scale", "paper", "--device", "cpu"])
    out, err = capfd.readouterr()
    assert status == 0, err
    for table in tables:
        assert len(load_rows("paper", table))
    (executed,) = rehearsal.glob("*.ipynb")
    assert all(cell.get("execution_count") for cell in nbformat.read(executed, 4).cells if cell.cell_type == "code")
