"""A run at another lambda is drawn with its own models, in every figure and every notebook."""

import ast
import importlib
import inspect
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import nbformat
import numpy as np
import pytest

from bctlib.base import locations
from bctlib.base.errors import BctError
from companion.experiments import find_experiment, made_by
from companion.figures import redraw
from companion.figures.drawn import scores as plot_coordinates
from companion.figures.drawn import scores as plot_scores
from companion.launcher.targets import find_target
from companion.measure import recipe_search, training_speed
from companion.measure import scores as coordinates
from companion.measure import scores as score_distributions
from companion.results import load_rows, save_rows
from companion.tables import cells
from companion.tables.cells import View

ABOUT = {"method": "bct", "device": "cpu: test", "versions": "v", "commit": "c", "seconds": 1.0, "n_behind": 10}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path / "figures"))
    return tmp_path


def save(table: str, pairs: dict[tuple[str, str], float], seed: int, metrics=("impostor", "genuine")) -> None:
    """One bin of each pair and metric with that value."""
    rows = [
        ABOUT | {
            "seed": seed, "query_model": query, "gallery_model": gallery, "protocol": "p", "metric": metric,
            "operating_point": 0.01, "value": value,
        }
        for (query, gallery), value in pairs.items()
        for metric in metrics
    ]  # fmt: skip
    save_rows(rows, "smoke", table)


def drawn(figure) -> dict[str, list[float]]:
    """The heights of the bars in each panel, by its title."""
    return {ax.get_title().replace("\n", " "): [bar.get_height() for bar in ax.patches] for ax in figure.axes}


def test_scores_are_those_of_the_runs_lambda_and_of_its_first_seed():
    save("score_distributions", {("old", "old"): 1, ("new*", "old"): 2, ("new-bct", "old"): 3, ("new*", "new*"): 4}, 0)
    with pytest.raises(BctError, match="not measured at lambda 0.5: run `./reproduce.sh table1 -p lam 0.5`"):
        plot_scores.plot_scores(View("smoke", lam=0.5))
    run = {("old", "old"): 5, ("new*", "old"): 6, ("new-bct@0.5", "old"): 7, ("new*", "new*"): 8}
    save("score_distributions", run, 3)
    assert drawn(plot_scores.plot_scores(View("smoke")))["(new-bct, old)"] == [3, 3]
    other = drawn(plot_scores.plot_scores(View("smoke", lam=0.5)))
    assert other["(new-bct@0.5, old)"] == [7, 7] and other["(old, old)"] == [5, 5]


def test_coordinates_are_those_of_the_runs_lambda():
    for seed, names in enumerate((("old", "new-bct", "new-relu"), ("old", "new-bct@2", "new-relu@2"))):
        pairs = {(name, name): 10 * seed + number for number, name in enumerate(names, 1)}
        save("coordinates", pairs, seed, metrics=("coordinate",))
    assert drawn(plot_coordinates.plot_coordinates(View("smoke"))) == {"old": [1], "new-bct": [2], "new-relu": [3]}
    other = drawn(plot_coordinates.plot_coordinates(View("smoke", lam=2.0)))
    assert other == {"old": [11], "new-bct@2": [12], "new-relu@2": [13]}


class FakeBench:
    """Features of any model; the training of those in `diverging` diverges."""

    scale = "smoke"

    def __init__(self, monkeypatch, diverging=()):
        for module in (coordinates, score_distributions):
            monkeypatch.setattr(module, "train_missing", lambda bench, names: set(diverging) & set(names))
        monkeypatch.setattr(score_distributions, "pair_scores", lambda *_, keep: self)
        self.genuine = self.impostor = np.array([0.5])

    def protocols(self):
        return None

    def pair_features(self, query, gallery):
        return query, gallery

    def features(self, name):
        return np.ones((2, 4))

    def about(self, query, gallery):
        return {k: v for k, v in ABOUT.items() if k != "n_behind"} | {
            "seed": 0, "query_model": query, "gallery_model": gallery,
        }  # fmt: skip


def test_what_is_kept_is_of_the_runs_lambda_and_without_what_diverged(monkeypatch):
    bench = FakeBench(monkeypatch, diverging=["new-relu@3"])
    score_distributions.save_score_distributions(bench, plot_scores.FAILURE_PAIRS, plot_scores.FAILURES, 3.0)
    kept = load_rows("smoke", plot_scores.FAILURES)
    assert set(kept["query_model"]) == {"old", "new-bct@3", "new-from-softmax@3"}
    coordinates.save_coordinates(bench, 3.0)
    assert set(load_rows("smoke", "coordinates")["query_model"]) == {"old", "new-bct@3"}
    assert drawn(plot_coordinates.plot_coordinates(View("smoke", lam=3.0)))["new-relu@3"] == []


def test_figures_go_on_without_what_was_run_at_another_lambda_alone(monkeypatch, capsys):
    save("score_distributions", {("new-bct@0.5", "old"): 7}, 0)
    (row,) = [row for row in redraw.FIGURE_DATA if row.name == plot_scores.SCORES]
    monkeypatch.setattr(redraw, "TABLES", ())
    monkeypatch.setattr(redraw, "FIGURE_DATA", (row,))
    monkeypatch.setattr(redraw, "SCALES", ("smoke",))
    monkeypatch.setattr(redraw, "_draw_pictures", print)
    monkeypatch.setattr(redraw, "ProcessPoolExecutor", partial(ThreadPoolExecutor, 1))
    assert "lambda 2" in str(pickle.loads(pickle.dumps(cells.not_measured("table1", 2.0)))), "it crosses processes"
    redraw.redraw_all()
    assert "not drawn: score_distributions was not measured at lambda 1" in capsys.readouterr().err


@pytest.mark.parametrize("table", sorted(path.stem for path in (locations.PROJECT / "results/desk").glob("*.csv")))
def test_a_missing_table_is_asked_for_by_a_target_that_there_is(table):
    """No target makes the rates of training, and pages do without them (tests/pages/test_training_time.py)."""
    assert table in (made_by("tour"), recipe_search.TABLE, training_speed.SPEED_TABLE) or find_target(made_by(table))


@pytest.mark.parametrize("notebook", sorted(locations.notebooks_dir().glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_hands_its_lambda_to_everything_that_takes_one(notebook):
    """By a view of its session, but where the committed desk results are shown, which are of lambda 1."""
    sources = [cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    tree, functions = ast.parse("\n".join(sources)), {}
    for statement in (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)):
        module = importlib.import_module(statement.module)
        for name in (alias.name for alias in statement.names):
            found = getattr(module, name, None) or importlib.import_module(f"{statement.module}.{name}")
            members = vars(found) if inspect.ismodule(found) else {}
            functions |= {name: found} | {f"{name}.{each}": member for each, member in members.items()}
    has_lambda = "lam" in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, given = ast.unparse(call.func), [ast.unparse(each) for each in call.args]
        keywords = {each.arg: ast.unparse(each.value) for each in call.keywords}
        if name == "start" or not inspect.isfunction(functions.get(name)):
            continue
        bound = inspect.signature(functions[name]).bind(*given, **keywords).arguments
        if has_lambda and "lam" in inspect.signature(functions[name]).parameters:
            own = name == "run_experiment" and find_experiment(ast.literal_eval(given[0])).has_own_lambdas
            assert own or bound.get("lam") == "lam", ast.unparse(call)
        if "view" in bound and has_lambda:
            own = "'tradeoff'" in bound["view"]
            given_view = bound["view"] in ("view", "shown", "tables.DESK") or bound["view"].startswith("session.view(")
            given_view = given_view or re.fullmatch(r"tables\.committed\('\w+', view\)", bound["view"])
            assert own or given_view, ast.unparse(call)
