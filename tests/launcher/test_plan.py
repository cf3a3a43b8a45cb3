"""What `plan` and the line before a run say is to be trained is what the notebook trains."""

import re

import nbformat
import pytest
from tiny import row

from bctlib.base import locations
from bctlib.methods import METHODS
from bctlib.training import store
from bctlib.training.scales import SETTINGS
from companion.experiments import find_experiment, find_table
from companion.launcher import main
from companion.launcher.targets import TARGETS, find_target
from companion.measure.training_speed import Rate
from companion.results import save_rows


@pytest.fixture
def thousand_per_s(monkeypatch):
    """Every network is measured to train at 1,000 images/s."""
    monkeypatch.setattr(
        "companion.measure.run.measured_rate",
        lambda data, network, device: Rate(network, 1000.0, f"float32, {device}", True),
    )


@pytest.fixture
def trained_at_lambda_1(store_folder, thousand_per_s, monkeypatch):
    monkeypatch.setattr(store, "is_trained", lambda recipe: "lam" not in recipe.options)


def said(capsys, words: str) -> str:
    assert main.main(words.split()) == 0
    return capsys.readouterr().out


def test_models_of_another_lambda_are_planned_by_their_own_name(trained_at_lambda_1, capsys):
    assert "all 16 models are in the store; nothing to train" in said(capsys, "plan table3 --scale smoke")
    plan = said(capsys, "plan table3 --scale smoke -p lam 0.5")
    assert "10 of 16 models to train" in plan and re.search(r"new-deep@0.5 +seed 0  to train, about", plan)
    assert re.search(r"old-ns +seed 0  in the store", plan)


def test_what_is_forced_is_trained_again(trained_at_lambda_1, capsys):
    plan = said(capsys, "plan table1 --scale smoke --force")
    assert "7 of 7 models to train" in plan and "new-bct      seed 0  to train again, about" in plan


def test_names_with_one_recipe_are_one_model_of_a_plan(store_folder, thousand_per_s, capsys):
    plan = said(capsys, "plan identities --scale smoke --workers 1")
    assert re.search(r"^  old-of-21% +seed 0  the same model as new\*-of-10.5%$", plan, re.M)
    listed = re.findall(r"seed 0  (to train|the same)", plan)
    assert f"{listed.count('to train')} of {len(listed) - listed.count('the same')} models to train" in plan
    times = [60 * int(m) + int(s) for m, s in re.findall(r"seed 0  to train, about (\d+):(\d+)$", plan, re.M)]
    minutes, seconds = re.search(r"models to train, about (\d+):(\d+)$", plan, re.M).groups()
    assert 60 * int(minutes) + int(seconds) == pytest.approx(sum(times), abs=len(times))  # each is rounded


def test_a_plan_says_at_which_measured_rate_each_network_trains(store_folder, thousand_per_s, capsys):
    plan = said(capsys, "plan table3 --scale smoke -p device cpu")
    both = "1,000 images/s, float32, cpu, glyphnet-norm", "1,000 images/s, float32, cpu, glyphnet-deep-norm"
    line = plan.splitlines()[-2]
    assert line.startswith("measured just now: ") and all(each in line for each in both)
    images = int(re.search(r"([\d,]+) images \(the data found\)", line)[1].replace(",", ""))
    minutes, seconds = re.search(r"^  new-deep +seed 0  to train, about (\d+):(\d+)$", plan, re.M).groups()
    of_epochs = images * SETTINGS["smoke"].schedule.epochs * METHODS["bct"].cost / 1000
    assert 60 * int(minutes) + int(seconds) == pytest.approx(of_epochs, abs=1)


def test_nothing_is_measured_where_nothing_is_to_be_trained_and_for_the_list(store_folder, monkeypatch, capsys):
    def measured(*given):
        raise AssertionError("measured")

    monkeypatch.setattr("companion.measure.run.measured_rate", measured)
    monkeypatch.setattr(store, "is_trained", lambda recipe: True)
    assert "measured" not in said(capsys, "plan table1 --scale smoke")
    listed = said(capsys, "list")
    assert "smoke  about 0:" in listed and "guesses" in listed.splitlines()[-2]


def test_a_run_says_before_it_begins_what_it_will_train(trained_at_lambda_1, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(main, "run_notebook", lambda *words: 1)
    assert main.main("table3 --scale smoke -p lam 0.5 --workers 1".split()) == 1  # trained in the notebook: not here
    out = capsys.readouterr().out
    assert "10 of 16 models to train" in out and "measured just now: 1,000 images/s" in out


@pytest.mark.parametrize(
    ("words", "models"),
    [
        ("table1", {"new-l2", "new-bct-kd"}),
        ("tradeoff", {"new-l2", "new-bct-kd", "new-l2@0.1"}),
        ("table2 -p tradeoff true", {"new-l2", "new-l2@0.1"}),
        ("tradeoff -p lam 0.5", {"new-l2", "new-l2@0.5", "new-bct-kd@0.5", "new-l2@10"}),
        ("stronger", {"new-deep", "new-bct", "new-bct@10"}),
        ("identities -p lam 2", {"new-deep@2", "old-of-10.5%", "new-bct-of-10.5%@2", "new-bct-rows-20%@2"}),
        ("long_chain -p lam 2", {"phi3@2", "chain6@2"}),
    ],
)
def test_a_notebook_runs_whole(trained_at_lambda_1, capsys, words, models):
    names = set(re.findall(r"^  (\S+) +seed 0", said(capsys, f"plan {words} --scale smoke"), re.M))
    assert models <= names and ("new-l2@0.1" in names) == ("tradeoff" in words)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_experiment_of_a_notebook_belongs_to_its_targets(target):
    """A notebook's cell may run an experiment always, or below `if` where the parameter of that name is true."""
    notebook = nbformat.read(locations.notebooks_dir() / target.notebook, 4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for condition, table in re.findall(r"(?m)^(?:if (\w+):\n    )?run_experiment\(\"(\w+)\"", code):
        parameters = {condition: True} if condition else {}
        assert set(find_experiment(table).models) <= set(target.trained(parameters)), table


def test_the_tables_of_lambdas_of_their_own_are_shown_at_those(tmp_path, monkeypatch):
    from companion.tables import tables
    from companion.tables.cells import View

    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    for table in ("tradeoff", "stronger"):
        measured = [row(query_model=query, gallery_model=gallery) for query, gallery in find_table(table).pairs]
        save_rows(measured, "smoke", table)
        ((_, plain),), ((_, other),) = (
            tables.tables_of(table, View("smoke")),
            tables.tables_of(table, View("smoke", lam=0.5)),
        )
        assert len(plain) and plain.equals(other)
    assert find_target("tradeoff").optional
