"""The models of `models/desk/` are those that the desk recipe trains."""

import pytest

from bctlib.base.locations import shipped_models_dir
from bctlib.training.store import shipped_file
from companion.measure.templates import verification
from companion.results import load_rows, mean_and_half_width
from companion.workbench import Workbench
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
