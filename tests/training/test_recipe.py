"""Recipes: the key follows every field that changes numbers; model names carry their lambda."""

import json
from dataclasses import asdict, fields, replace

import pytest
import torch
from tiny import tiny_recipe

from bctlib.base.errors import BctError, UsageError
from bctlib.data.distortion import TrainingDistortion
from bctlib.data.photos.distortion import ColourDistortion
from bctlib.losses import HEADS, build_head
from bctlib.methods import METHODS, build_method
from bctlib.models import MODELS, find_model, with_lambda
from bctlib.networks import BACKBONES
from bctlib.training.loop import learning_rate
from bctlib.training.recipe import Recipe, Schedule
from bctlib.training.scales import SCALES, SETTINGS, scale_settings

OTHER = {
    "data": "other blobs", "share": 0.5, "seed": 1, "backbone": "glyphnet-deep", "dim": 16, "head": "softmax",
    "method": "bct", "schedule": None, "relu": True, "head_settings": {"scale": 8.0, "margin": 0.3},
    "options": {"lam": 0.5}, "distortion": {"noise": 0.0}, "old": "0123456789abcdef", "algorithm": 99,
    "code": "fedcba9876543210",
}  # fmt: skip
OTHER_SCHEDULE = {
    "kind": "steps", "epochs": 3, "batch": 16, "rate": 0.2, "weight_decay": 0.0, "momentum": 0.5, "nesterov": False,
    "warm_up": 0.5, "drops": (1,),
}  # fmt: skip


def test_every_field_changes_the_key():
    recipe = tiny_recipe()
    assert set(OTHER) == {f.name for f in fields(Recipe)}
    assert set(OTHER_SCHEDULE) == {f.name for f in fields(Schedule)}
    changed = [replace(recipe, **{name: value}) for name, value in OTHER.items() if name != "schedule"]
    changed += [replace(recipe, schedule=replace(recipe.schedule, **{n: v})) for n, v in OTHER_SCHEDULE.items()]
    keys = {each.key for each in [recipe, *changed]}
    assert len(keys) == len(changed) + 1


def test_key_is_the_digest_of_the_content():
    assert tiny_recipe().key == tiny_recipe().key
    assert len(tiny_recipe().key) == 16 and int(tiny_recipe().key, 16) >= 0
    one, other = ({"scale": 2.0, "margin": 0.1}, {"margin": 0.1, "scale": 2.0})
    assert tiny_recipe(head_settings=one).key == tiny_recipe(head_settings=other).key


def test_without_code_of_ones_own_the_text_is_as_it_was():
    recipe = tiny_recipe()
    assert "code" not in json.loads(recipe.text()) and Recipe.from_text(recipe.text()) == recipe
    own = tiny_recipe(code="fedcba9876543210")
    assert Recipe.from_text(own.text()) == own


def test_key_knows_nothing_of_the_device():
    assert not {"device", "threads", "workers", "commit"} & set(json.loads(tiny_recipe().text()))


def test_key_of_a_chain_reaches_back_to_the_first_model():
    def third(seed_of_first: int) -> str:
        first = tiny_recipe(seed=seed_of_first)
        second = tiny_recipe(method="bct", old=first.key)
        return tiny_recipe(method="bct", old=second.key, dim=16).key

    assert third(0) == third(0) != third(1)


def test_text_round_trip():
    recipe = tiny_recipe(
        kind="steps", drops=(8, 12), old="0123456789abcdef", options={"lam": 0.1, "old_margin": False},
        distortion=asdict(TrainingDistortion()),
    )  # fmt: skip
    again = Recipe.from_text(recipe.text())
    assert again == recipe and again.key == recipe.key
    assert TrainingDistortion(**again.distortion) == TrainingDistortion()


def damaged(change) -> str:
    raw = json.loads(tiny_recipe().text())
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    "text",
    [
        damaged(lambda raw: raw.update(device="cuda")),
        damaged(lambda raw: raw.pop("old")),
        damaged(lambda raw: raw["schedule"].update(gamma=2)),
        damaged(lambda raw: raw["schedule"].pop("rate")),
        damaged(lambda raw: raw.update(schedule=3)),
        "[1, 2]",
        "3",
        "{not json",
    ],
)
def test_malformed_recipes_are_refused(text):
    with pytest.raises(BctError, match="recipe"):
        Recipe.from_text(text)


def test_names_with_a_lambda():
    plain, tenth = find_model("new-l2"), find_model("new-l2@0.1")
    assert tenth == replace(plain, name="new-l2@0.1", options={"lam": 0.1})
    assert with_lambda("new-l2", 0.1) == "new-l2@0.1"
    assert with_lambda("new-l2", 10.0) == "new-l2@10"
    assert with_lambda("new-l2", 1) == "new-l2"
    assert with_lambda("old", 0.1) == "old" and with_lambda("new*", 0.1) == "new*"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("new-btc", "'new-btc'.*new-bct-kd"),
        ("new-l2@", "number"),
        ("new-l2@much", "'much'"),
        ("new-l2@-1", "'-1'"),
        ("new-l2@nan", "'nan'"),
        ("new-l2@inf", "'inf'"),
        ("new-l2@0.1@1", "'0.1@1'"),
        ("old@0.1", "no lambda"),
    ],
)
def test_names_that_mean_nothing(name, says):
    with pytest.raises(UsageError, match=says):
        find_model(name)


def test_models_of_table_1():
    assert list(MODELS)[:7] == ["old", "new*", "new-l2", "new-lwf", "new-bct", "new-bct-kd", "new-bct-sys"]
    for spec in MODELS.values():
        assert spec.method in METHODS and spec.head in HEADS
        assert build_method(spec.method, **spec.options).needs_old == (spec.old is not None)
        assert spec.old is None or spec.old in MODELS
    assert MODELS["old"].share == 0.5 and {
        MODELS[n].share for n in MODELS if n.startswith("new") and "-of-" not in n
    } == {1.0}


def test_settings_of_each_scale_can_be_built():
    for scale, settings in SETTINGS.items():
        assert scale in SCALES and scale_settings(scale) is settings
        assert set(settings.backbones) == {"base", "deep"} and set(settings.backbones.values()) <= set(BACKBONES)
        with torch.device("meta"):
            build_head("cosine-margin", 2, 128, scale=settings.head_scale, margin=settings.margin)
        TrainingDistortion(**settings.distortion)
    with pytest.raises(UsageError, match="smokey.*smoke"):
        scale_settings("smokey")


def test_the_paper_s_recipe():
    faces, persons = (scale_settings("paper", task) for task in ("faces", "persons"))
    assert faces.backbones == {"base": "resnet101", "deep": "resnet152"} and faces.source.size == (112, 112)
    assert (faces.head_scale, faces.margin, faces.schedule.batch, faces.schedule.weight_decay) == (32, 0.4, 320, 5e-4)
    rates = [learning_rate(faces.schedule, 10 * epoch, 160) for epoch in range(16)]
    assert rates == pytest.approx([0.1] * 8 + [0.01] * 4 + [0.001] * 2 + [0.0001] * 2)
    assert persons.source.size == (256, 128)
    for settings in (faces, persons):
        ColourDistortion(**settings.distortion)
        assert set(settings.backbones.values()) <= set(BACKBONES)
    with pytest.raises(UsageError, match="'horses'.*persons"):
        scale_settings("paper", "horses")


def test_a_rehearsal_is_small_and_keeps_out_of_the_folders_of_real_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("BCT_REHEARSAL", "1")
    for name in ("BCT_STORE", "BCT_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("BCT_FIGURES", raising=False)
    with pytest.raises(UsageError, match="BCT_FIGURES"):
        scale_settings("paper")
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path))
    for task in ("faces", "persons"):
        settings = scale_settings("paper", task)
        assert settings.schedule.epochs == 1 and settings.backbones["base"] == "rehearsal-net"
    assert scale_settings("smoke") is SETTINGS["smoke"]
