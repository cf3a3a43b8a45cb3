"""The models of `models/desk/` are those that the desk recipe trains, and the features those of the models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bctlib.base.locations import shipped_models_dir
from bctlib.data.desk_features import features_folder, load_desk_features
from bctlib.training.devices import training_provenance
from bctlib.training.store import shipped_file
from companion.measure.templates import verification
from companion.results import load_rows, mean_and_half_width
from companion.workbench import Workbench
from dev import ship_features
from dev.ship_models import SCALE, names

pytestmark = pytest.mark.skipif(not (shipped_models_dir() / SCALE).is_dir(), reason="this checkout ships no models")


def test_each_belongs_to_the_present_recipe_and_together_they_are_small():
    bench = Workbench(SCALE, 0, "cpu")
    files = [shipped_file(bench.recipe(name)) for name in names() if shipped_file(bench.recipe(name))]
    there = sorted((shipped_models_dir() / SCALE).glob("*.safetensors"))
    assert sorted(files) == there and len(there) >= 7, "a file of an old recipe is never found"
    assert sum(path.stat().st_size for path in there) < 14e6


@pytest.mark.long
def test_training_anew_gives_a_model_as_accurate_as_the_shipped_one(store_folder):
    """Within the interval over seeds of the committed results, doubled for the difference of two trainings."""

    def accuracy(force: bool) -> float:
        bench = Workbench(SCALE, 0, "cpu", force=force)
        features = bench.features("old")
        rows = verification(bench.protocols(), features, features)
        return next(row.value for row in rows if row.operating_point == 1e-4)

    rows = load_rows(SCALE, "table8")
    own = rows[(rows["query_model"] == "old") & (rows["metric"] == "TAR@FAR") & (rows["operating_point"] == "0.0001")]
    _, half_width = mean_and_half_width(own[own["protocol"] == "verification"]["value"].tolist())
    assert accuracy(force=True) == pytest.approx(accuracy(force=False), abs=2 * half_width)


def test_the_features_are_those_of_the_present_recipes_and_small():
    bench, files = Workbench(SCALE, 0, "cpu"), list(features_folder().glob("*.safetensors"))
    keys = {load_desk_features(path).model: load_desk_features(path).key for path in files}
    assert keys == {model: bench.recipe(model).key for model in ship_features.MODELS}
    assert sum(path.stat().st_size for path in files) < 12e6


@pytest.mark.long
def test_embedding_anew_gives_the_shipped_features(store_folder, tmp_path: Path):
    """To the byte on the kind of machine that they were made on; another one rounds bfloat16 otherwise, or has none."""
    ship_features.ship(tmp_path / "features")
    shipped, anew = (sorted(folder.iterdir()) for folder in (features_folder(), tmp_path / "features"))
    assert [path.name for path in anew] == [path.name for path in shipped]
    if load_desk_features("old").device == training_provenance(torch.device("cpu"))["device"]:
        assert [path.read_bytes() for path in anew] == [path.read_bytes() for path in shipped]
    for model in ship_features.MODELS:
        ours, theirs = (load_desk_features(folder / ship_features.file_name(model))
                        for folder in (tmp_path / "features", features_folder()))  # fmt: skip
        for part in ("first", "training"):
            (a, identity), (b, wanted) = getattr(ours, part), getattr(theirs, part)
            assert np.array_equal(identity, wanted)
            assert np.einsum("ij,ij->i", a.astype(float), b.astype(float)).min() > 0.99
