"""Models that come with the checkout are found by their recipe's key; those without a head train no other."""

from dataclasses import replace

import pytest
import torch
from tiny import same_weights, tiny_recipe, tiny_set

from bctlib.base import locations
from bctlib.base.errors import BctError
from bctlib.training.artefact import Artefact, save_artefact
from bctlib.training.store import fetch, forget, is_trained, model_file

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("store_folder")


def never():
    raise AssertionError("the model was trained again")


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Artefact:
    """A model that the store has no longer, shipped without its head."""
    monkeypatch.setattr(locations, "shipped_models_dir", lambda: tmp_path / "models")
    model = fetch(tiny_recipe(epochs=1), tiny_set, None, CPU)
    forget(model.recipe)
    (tmp_path / "models" / "desk").mkdir(parents=True)
    save_artefact(tmp_path / "models" / "desk" / f"new.{model.recipe.key}.safetensors", replace(model, head=None))
    return model


def test_a_shipped_model_is_used_and_said(shipped, capsys):
    assert is_trained(shipped.recipe)
    found = fetch(shipped.recipe, never, None, CPU, "new seed 0")
    assert same_weights(found.backbone, shipped.backbone) and found.training == shipped.training
    assert "new seed 0: comes with the project" in capsys.readouterr().err
    assert not model_file(shipped.recipe.key).exists()


def test_force_trains_anew_and_the_store_comes_first_from_then_on(shipped, capsys):
    made = fetch(shipped.recipe, tiny_set, None, CPU, shipped=False)
    assert made.head is not None and model_file(shipped.recipe.key).exists()
    assert fetch(shipped.recipe, never, None, CPU).head is not None
    assert "comes with the project" not in capsys.readouterr().err


def test_nothing_is_trained_against_a_model_without_a_head(shipped):
    old = fetch(shipped.recipe, never, None, CPU)
    with pytest.raises(BctError, match=f"{shipped.recipe.key} has no head"):
        fetch(tiny_recipe(epochs=1, method="bct", old=old.recipe.key), tiny_set, old, CPU)


def test_a_damaged_shipped_model_is_named(shipped):
    (path,) = (locations.shipped_models_dir() / "desk").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BctError, match=path.name):
        fetch(shipped.recipe, never, None, CPU)
