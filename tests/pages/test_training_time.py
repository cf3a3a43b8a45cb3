"""What pages and notebooks say of the time of training comes from results, each precision for itself."""

import pytest
from tiny import row

from companion.experiments import find_experiment
from companion.results import save_rows
from companion.tables import training_time
from companion.tables.training_time import training_text

BF16, F32 = "cpu: A, 1 thread, bfloat16", "cpu: B, 2 threads, float32"
MODELS = find_experiment("table1").models


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Saves rows of Table 1 in which each model took so many seconds; a training has 120,000 images."""
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    monkeypatch.setattr(training_time, "_images", lambda name, seed: 120_000)

    def save(device: str, seed: int, seconds: float, models=MODELS):
        about = {"gallery_model": "old", "device": device, "seed": seed, "seconds": seconds}
        save_rows([row(query_model=name, **about) for name in models], "desk", "table1")

    return save


@pytest.fixture
def no_rates(monkeypatch):
    """Without the committed rates of a core, which another folder of results does not hide."""
    monkeypatch.setattr(training_time, "core_rates", dict)


def test_each_precision_has_its_own_time_and_rate(save):
    for seed, seconds in ((0, 60.0), (1, 120.0)):
        save(BF16, seed, seconds)
    save(F32, 0, 300.0)
    said = training_text()
    assert "the 7 models of `table1` took 7 to 14 minutes of one core a seed in bfloat16, " in said
    assert f", at 1,000 to 2,000 images/s (2 seeds; {BF16})" in said
    assert f"took 35 minutes of one core a seed in float32, at 400 images/s (1 seed; {F32})" in said
    assert "train in float32" in said and "not among" not in said
    some = training_text(["old", "new*"], "tour")
    assert "the 2 models of `tour` took 2 to 4 minutes" in some and "plan tour --force" in some


def test_a_precision_is_not_completed_from_the_other(save, no_rates):
    save(BF16, 0, 60.0)
    save(F32, 0, 300.0, MODELS[:-1])
    said = training_text()
    assert "in bfloat16, at 2,000 images/s" in said and "how fast is not among the committed results yet" in said
    assert said.count("minutes of one core a seed") == 1


def test_without_results_it_says_what_is_known(save, no_rates):
    save(F32, 0, 300.0, ["old"])
    assert training_text().startswith("CPUs without bfloat16") and "minutes" not in training_text()


def test_rates_of_one_core_are_said_with_the_time_that_follows(save):
    save(BF16, 0, 60.0)
    about = {"protocol": "training", "metric": "images per second", "operating_point": "glyphnet-norm"}
    speeds = ((BF16, 4000.0), (F32, 1000.0))
    save_rows([row(device=device, value=value, **about) for device, value in speeds], "desk", "training_speed")
    said = training_text(["old", "new*"])
    # two trainings of 120,000 images at 4,000/s are a minute, at 1,000/s four
    assert f"4,000 images/s of glyphnet-norm in bfloat16 (about 1 minutes for these models; {BF16})" in said
    assert f"1,000 images/s of glyphnet-norm in float32 (about 4 minutes for these models; {F32})" in said
    assert "not among" not in said
