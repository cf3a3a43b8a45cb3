"""A new method is one file and one row: then it is in tables, figures, plan, estimates and benchmarks.

The library is copied, and the copy gets the file and the row, and a smoke scale that trains for seconds.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bctlib.base import locations

FILE = '''
"""Stay near the old embedding in direction alone."""

import torch.nn.functional as F

from bctlib.methods.base import RUNS_OLD, Method


class Toy(Method):
    name = "toy"
    cost = RUNS_OLD

    def __init__(self, lam=1.0):
        self.lam = lam

    def runs_old(self, unseen):
        return True

    def compatibility(self, batch):
        new, old = F.normalize(batch.comparable), F.normalize(batch.old.embed(batch.images))
        return self.lam * (new - old).square().sum() / len(new)
'''
EMPTY = "FOLLOW_UPS: tuple[ModelSpec, ...] = ()\n"
ROW = 'FOLLOW_UPS: tuple[ModelSpec, ...] = (ModelSpec("new-toy", method="toy", old="old"),)\n'


class Copy:
    """The library with one file and one row more, as a checkout with the committed data, notebooks and results."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("bctlib", "companion", "dev"):
            shutil.copytree(locations.PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("data", "notebooks", "results", "pyproject.toml"):
            (folder / name).symlink_to(locations.PROJECT / name)
        (folder / "bctlib/methods/toy.py").write_text(FILE, encoding="utf-8")
        self.change("bctlib/models.py", EMPTY, ROW)
        settings = "bctlib/training/scales.py"
        self.change(settings, 'folder="glyphs", n_train=120', 'folder="glyphs", n_train=48')
        self.change(settings, "epochs=5, batch=64", "epochs=2, batch=64")

    def change(self, path: str, before: str, after: str) -> None:
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(before) == 1
        file.write_text(text.replace(before, after), encoding="utf-8")

    def python(self, *words: str) -> str:
        moved = {f"BCT_{name.upper()}": str(self.folder / "made" / name) for name in ("store", "results", "figures")}
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, capture_output=True, text=True, timeout=400,
            env=os.environ | moved | {"PYTHONPATH": str(self.folder)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def reproduce(self, words: str) -> str:
        return self.python("-m", "companion.launcher.main", *words.split())


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="module")
def shown(copy) -> str:
    """What notebook 01 at smoke scale leaves on the terminal."""
    return copy.reproduce("table1 --scale smoke --device cpu")


def test_it_has_a_place_in_the_plan_with_the_cost_that_its_file_states(copy):
    plan = copy.reproduce("plan table1 --seeds 1")
    seconds = dict(re.findall(r"^  (new-\S+) .*about (\S+)$", plan, re.M))
    assert seconds["new-toy"] == seconds["new-l2"] != seconds["new-bct"]
    assert "8 models to train" in plan.splitlines()[-1]
    assert "new-toy@0.5" in copy.reproduce("plan table1 --seeds 1 -p lam 0.5")


def test_notebook_01_runs_with_it_and_shows_it_without_a_number_of_the_paper(copy, shown):
    (one, many) = re.findall(r"^\(new-toy, old\) .*$", shown, re.M)
    for line in (one, many):
        _, measured, paper, verdict, papers_verdict, *_ = re.split(r"\s{2,}", line)
        assert 0 <= float(measured) <= 100 and (paper, papers_verdict) == ("–", "–") and verdict in ("yes", "no")
    (notebook,) = (copy.folder / "runs").glob("*.ipynb")
    assert "new-toy" in notebook.read_text(encoding="utf-8")
    for table, gallery in (("table1", "old"), ("table2", "new-toy"), ("table8", "old")):
        rows = (copy.folder / "made/results/smoke" / f"{table}.csv").read_text(encoding="utf-8")
        assert f",toy,new-toy,{gallery}," in rows, table


LOOK = """
import json
from matplotlib.colors import to_hex
from companion.figures import dots, model_colours
from companion.tables.cells import View
from bctlib.models import MODELS
figure = dots.plot_baselines(View("smoke"))
rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
drawn = [[to_hex(c[0].get_color()) for c in ax.containers] +
         [to_hex(line.get_color()) for line in ax.lines if line.get_marker() == "<"] for ax in figure.axes]
print(json.dumps([rows, drawn, {name: to_hex(model_colours.colour_of(name)) for name in MODELS}]))
"""


def test_the_figure_has_a_row_of_a_colour_that_no_other_model_has(copy, shown):
    rows, drawn, colours = json.loads(copy.python("-c", LOOK))
    # So short a training with l2 diverges on some processors and not on others; its row is not what this test is about.
    assert rows[0] == "new*" and rows[-1] == "new-toy"
    assert len(set(colours.values())) == len(colours)
    ours, papers = drawn[:2], drawn[2:]
    assert all(colours["new-toy"] in panel for panel in ours)
    assert not any(colours["new-toy"] in panel for panel in papers), "the paper has no such method"


def test_the_benchmark_of_costs_has_it(copy):
    copy.reproduce("bench training --small --only methods --device cpu --out made/bench")
    bench = json.loads((copy.folder / "made/bench/bench-training.json").read_text(encoding="utf-8"))
    (row,) = [row for row in bench["rows"] if row["name"] == "toy"]
    assert row["part"] == "methods" and row["ratio"] > 0


def test_two_files_cannot_give_one_name(copy):
    second = copy.folder / "bctlib/methods/zwilling.py"
    second.write_text(FILE, encoding="utf-8")
    try:
        said = copy.python("-c", "try: import bctlib.methods\nexcept Exception as error: print(error)")
    finally:
        second.unlink()
    assert said == (
        "two methods are called 'toy', bctlib.methods.toy.Toy and bctlib.methods.zwilling.Toy: "
        "expected different names\n"
    )
