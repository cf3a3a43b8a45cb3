"""Chains of models in the store: keys follow the old model, and a stored old model serves like one just trained."""

import pytest
import torch
from tiny import same_weights, tiny_recipe, tiny_set

from bctlib.base.errors import BctError
from bctlib.base.files import is_sealed
from bctlib.training.artefact import Artefact, load_artefact
from bctlib.training.recipe import Recipe
from bctlib.training.store import fetch, forget, is_trained, model_file

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("store_folder")


def fetched(recipe: Recipe | None = None, old: Artefact | None = None) -> Artefact:
    return fetch(recipe or tiny_recipe(epochs=1), tiny_set, old, CPU)


def never():
    raise AssertionError("the model was trained again")


def test_keys_of_a_chain_follow_the_old_models_seed():
    chains = []
    for seed in (0, 1):
        old = fetched(tiny_recipe(epochs=1, seed=seed))
        chains.append(fetched(tiny_recipe(epochs=1, method="bct", old=old.recipe.key), old))
    assert chains[0].recipe.key != chains[1].recipe.key
    assert not same_weights(chains[0].backbone, chains[1].backbone)
    assert is_sealed(model_file(chains[0].recipe.key)) and is_sealed(model_file(chains[1].recipe.key))


def test_an_old_model_that_the_recipe_does_not_name_is_refused():
    old = fetched()
    recipe = tiny_recipe(epochs=1, method="bct", old="0" * 16)
    for given in (old, None):
        with pytest.raises(BctError, match=f"old model {'0' * 16}"):
            fetch(recipe, never, given, CPU)
    assert not is_trained(recipe)


def test_a_stored_model_plays_the_old_part_like_the_one_just_trained():
    made = fetched()
    read = load_artefact(model_file(made.recipe.key))
    recipe = tiny_recipe(epochs=1, method="bct-sys", old=made.recipe.key)
    one = fetched(recipe, made)
    forget(recipe)
    assert same_weights(one.backbone, fetched(recipe, read).backbone)
