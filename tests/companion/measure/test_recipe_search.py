"""The desk recipe is the winner of the committed search, and the search keeps its own rules."""

from dataclasses import replace

import pytest

from bctlib.training.scales import SETTINGS
from companion.measure.recipe_search import BASE, CANDIDATES, CRITERION, MODELS
from companion.results import load_rows
from companion.tables.shown.recipe import next_runs, recipe_scores, recipe_table


def test_the_search_is_complete_and_desk_scale_uses_its_winner():
    assert next_runs() == []
    winner = CANDIDATES[recipe_scores().index[0]]
    desk = SETTINGS["desk"]
    assert replace(winner, backbones=desk.backbones) == desk
    assert winner.backbones["base"] == desk.backbones["base"], "only the base network was compared"


def test_a_candidate_is_judged_by_no_accuracy_across_models():
    rows = load_rows("desk", "recipe")
    assert set(rows["query_model"]) == set(MODELS) and (rows["query_model"] == rows["gallery_model"]).all()


def test_the_score_of_a_candidate_is_the_mean_of_four_accuracies():
    table, metrics = (
        recipe_table(),
        [f"{model} {metric}={point}" for model in MODELS for metric, point in CRITERION.items()],
    )
    assert table["seed 0"].to_numpy() == pytest.approx(table[metrics].mean(axis=1).to_numpy(), abs=0.1)


def test_candidates_see_about_as_many_images_as_the_base():
    for name, candidate in CANDIDATES.items():
        assert candidate.source.n_train == BASE.source.n_train
        assert 1 <= candidate.schedule.epochs / BASE.schedule.epochs <= 1.25, name
