"""Experiments end to end on a synthetic glyph set: rows, pairs and their direction, plans, order of training."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_glyphs import synthetic_glyphs
from torch import nn

from bctlib.base.errors import BctError, Diverged, UsageError
from bctlib.data.training_set import glyph_training_set
from bctlib.models import MODELS, find_model
from bctlib.training import store
from bctlib.training.recipe import Schedule
from bctlib.training.scales import SETTINGS, GlyphSource, ScaleSettings
from companion import workbench
from companion.experiments import TABLES, TRADEOFF_PAIRS, find_experiment, find_table
from companion.measure.run import plan, run_experiment
from companion.measure.templates import compare
from companion.pairs import BASELINE_PAIRS, OWN_PAIRS
from companion.results import COLUMNS, load_rows, results_file
from companion.sources import glyph_data
from companion.workbench import Workbench, with_ancestors

BASELINES = ["old", "new*", "new-l2", "new-lwf", "new-bct", "new-bct-kd", "new-bct-sys"]
MICRO = ScaleSettings(
    GlyphSource(folder="synthetic", n_train=16, n_validation=30, n_test=36),
    backbones={"base": "glyphnet", "deep": "glyphnet-deep"},
    schedule=Schedule("one-cycle", epochs=2, batch=48, rate=0.1), head_scale=8.0, margin=0.2,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def micro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The smoke scale is a synthetic one, and store and results are this module's own."""
    glyphs = synthetic_glyphs(84, 24, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS, "smoke", MICRO)
        patch.setattr(glyph_data, "_glyphs", lambda folder: glyphs)
        patch.setattr(glyph_data.GlyphData, "is_here", True)
        for variable in ("BCT_STORE", "BCT_RESULTS"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable)))
        glyph_data._protocols.cache_clear()
        yield
    glyph_data._protocols.cache_clear()


@pytest.fixture(scope="module")
def measured(micro) -> Workbench:
    """The whole of the baselines, trained once; the plan is looked at before."""
    before = plan(find_experiment("table1").models, "smoke", [0])
    assert [model.name for model in before] == BASELINES
    assert not any(model.cached for model in before)
    bench = Workbench("smoke", 0, "cpu")
    run_experiment("table1", [bench])
    return bench


def pairs_of(rows) -> set[tuple[str, str]]:
    return set(zip(rows["query_model"], rows["gallery_model"], strict=True))


@pytest.mark.parametrize(
    ("table", "pairs"), [("table1", BASELINE_PAIRS), ("table2", OWN_PAIRS), ("table8", BASELINE_PAIRS)]
)
def test_one_run_fills_every_table_of_the_experiment(measured, table, pairs):
    rows = load_rows("smoke", table)
    assert list(rows.columns) == list(COLUMNS)
    assert pairs_of(rows) == set(pairs)
    assert set(rows["table"]) == {table} and set(rows["scale"]) == {"smoke"} and set(rows["seed"]) == {0}
    assert rows["value"].between(0, 100).all() and (rows["n_behind"] > 0).all() and (rows["seconds"] > 0).all()
    assert rows["device"].str.startswith("cpu").all() and (rows["commit"] != "").all()
    assert set(rows["protocol"]) >= {"verification", "identification", "verification (no look-alikes)"}
    for row in rows.itertuples():
        assert row.method == MODELS[row.query_model].method
        assert row.operating_point in find_table(table).points[row.metric]
    full = rows[rows["protocol"].isin(["verification", "identification"])]
    main = {("TAR@FAR", "0.0001"), ("TPIR@FPIR", "0.01")}
    for _, group in full.groupby(["query_model", "gallery_model"]):
        points = set(zip(group["metric"], group["operating_point"], strict=True))
        assert points == main if table != "table8" else points >= main | {("rank", "1"), ("TAR@FAR", "0.01")}


def test_numbers_behind_a_row_are_the_protocols(measured):
    rows, counts = load_rows("smoke", "table8"), measured.protocols().counts
    whole = rows[~rows["protocol"].str.contains("look-alikes")]
    assert set(whole[whole["metric"] == "TAR@FAR"]["n_behind"]) == {counts["impostor pairs"]}
    nonmated = min(counts["G1 non-mated searches"], counts["G2 non-mated searches"])
    assert set(whole[whole["metric"] == "TPIR@FPIR"]["n_behind"]) == {nonmated}
    fewer = rows[rows["protocol"] == "verification (no look-alikes)"]
    assert 0 < fewer["n_behind"].max() < counts["impostor pairs"]


def test_what_two_tables_show_is_one_number(measured):
    key = ["query_model", "gallery_model", "protocol", "metric", "operating_point"]
    table1, table2, table8 = (
        load_rows("smoke", name).set_index(key)["value"] for name in ("table1", "table2", "table8")
    )
    shared = table1.index.intersection(table2.index)
    assert {(query, gallery) for query, gallery, *_ in shared} == {("old", "old"), ("new*", "new*")}
    assert (table1[shared] == table2[shared]).all()
    assert (table1 == table8[table1.index]).all()


def test_a_model_compared_with_itself_keeps_every_constraint_of_eq_1(measured):
    rows = load_rows("smoke", "table8")
    strict = rows[rows["protocol"] == "strict criterion"]
    assert (strict[strict["query_model"] == "old"]["value"] == 100).all()
    assert (strict[strict["query_model"] == "new*"]["value"] < 100).any()


def test_after_training_the_plan_finds_every_model_and_a_second_run_trains_none(measured, monkeypatch):
    assert all(model.cached for model in plan(find_experiment("table2").models, "smoke", [0]))
    assert not any(model.cached for model in plan(find_experiment("table1").models, "smoke", [1]))
    before = results_file("smoke", "table1").read_bytes()
    monkeypatch.setattr(store, "train", lambda *args: pytest.fail("a model was trained again"))
    run_experiment("table8", [Workbench("smoke", 0, "cpu")])
    assert results_file("smoke", "table1").read_bytes() == before


def test_features_belong_to_the_asked_model(measured):
    pool = measured.protocols().pool
    assert measured.features("old").shape == (pool.size, 128)
    assert not np.array_equal(measured.features("old"), measured.features("new-bct"))
    assert measured.protocols("validation").pool.key != pool.key


def test_nothing_of_a_test_identity_is_trained_or_tuned_on(measured):
    glyphs, split = measured.glyphs, measured.split
    trained = {glyphs.characters.index(name) for name in measured.model("new*").classes}
    assert trained == set(split.train.tolist())
    tested = set(measured.protocols().identities.tolist())
    tuned = set(measured.protocols("validation").identities.tolist())
    assert tested == set(split.test.tolist()) and tuned == set(split.validation.tolist())
    assert not tested & trained and not tested & tuned and not tuned & trained
    assert set(measured.model("old").classes) < set(measured.model("new*").classes)
    assert measured.model("new-lwf").head.classes == len(measured.model("old").classes) == 8


def test_every_image_of_the_training_identities_is_used(measured):
    data = glyph_training_set(measured.glyphs, measured.split.train)
    assert len(data) == measured.glyphs.present[measured.split.train].sum()
    assert list(data.classes) == sorted(data.classes) and data.images.shape[1:] == (12, 12)
    first = measured.glyphs.characters.index(data.classes[0])
    held = measured.glyphs.present[first]
    assert np.array_equal(data.images[data.labels == 0].numpy(), measured.glyphs.images[first][held])
    with pytest.raises(BctError, match="at least 1"):
        glyph_training_set(measured.glyphs, np.empty(0, np.int64))


def test_a_run_at_another_lambda_stands_beside_the_first(measured, tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    bench = Workbench("smoke", 0, "cpu")
    for lam in (1.0, 0.5):
        run_experiment("table2", [bench], lam)
    pairs = pairs_of(load_rows("smoke", "table2"))
    assert set(OWN_PAIRS) < pairs and ("new-bct@0.5", "new-bct@0.5") in pairs and ("new*", "new*") in pairs
    assert "new*@0.5" not in {query for query, _ in pairs}
    assert bench.model("new-bct@0.5").recipe.options == {"lam": 0.5}
    assert bench.model("new-bct@0.5").recipe.old == bench.model("old").recipe.key


def test_a_new_model_whose_training_diverges_is_left_out_and_said(measured, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    model = Workbench.model

    def diverging(bench: Workbench, name: str):
        if name == "new-l2":
            raise Diverged("new-l2 seed 0: the loss is nan in epoch 2")
        return model(bench, name)

    monkeypatch.setattr(Workbench, "model", diverging)
    run_experiment("table1", [Workbench("smoke", 0, "cpu")])
    assert pairs_of(load_rows("smoke", "table1")) == set(BASELINE_PAIRS) - {("new-l2", "old")}
    assert "the tables have no numbers for new-l2" in capsys.readouterr().err


def test_the_tradeoff_is_measured_on_validation_and_test_identities(measured, monkeypatch):
    gentle = replace(MICRO, schedule=replace(MICRO.schedule, rate=0.01))  # l2 at lambda 10 diverges at MICRO's rate
    monkeypatch.setitem(SETTINGS, "smoke", gentle)
    run_experiment("tradeoff", [Workbench("smoke", 0, "cpu")])
    rows = load_rows("smoke", "tradeoff")
    assert pairs_of(rows) == set(TRADEOFF_PAIRS)
    for protocol in ("verification", "verification (validation)", "identification (validation)"):
        assert pairs_of(rows[rows["protocol"] == protocol]) == set(TRADEOFF_PAIRS)
    assert not rows["protocol"].str.contains("look-alikes.*validation").any()


@pytest.fixture
def planted(monkeypatch) -> Workbench:
    """Model `new*` knows only first-side images, model `old` only second-side ones; both in one space."""
    bench = Workbench("smoke", 0, "cpu")
    pool, rng = bench.protocols().pool, np.random.default_rng(0)
    first = np.isin(pool.typeface, bench.protocols().typefaces[0])
    known = rng.normal(size=(84, 32))[pool.identity]
    features = {
        name: np.where(side[:, None], known, rng.normal(size=known.shape)).astype(np.float32)
        for name, side in (("new*", first), ("old", ~first))
    }
    monkeypatch.setattr(bench, "features", lambda name, part="test": features[name])
    return bench


def test_the_query_model_embeds_first_templates_and_the_gallery_model_second_ones(planted):
    def values(query: str, gallery: str) -> dict[tuple[str, str], float]:
        return {(m.protocol, f"{m.metric} {m.operating_point}"): m.value for m in compare(planted, query, gallery)}

    right, wrong = values("new*", "old"), values("old", "new*")
    for protocol, point in (("verification", "TAR@FAR 0.0001"), ("identification", "TPIR@FPIR 0.01")):
        for variant in ("", " (no look-alikes)"):
            assert right[protocol + variant, point] == 100
            assert wrong[protocol + variant, point] < 20
    assert right["identification", "rank 1"] == 100


def test_a_transform_leads_to_the_old_model_only(measured, monkeypatch):
    bench = Workbench("smoke", 0, "cpu")
    transform = nn.Linear(128, 128, bias=False)
    torch.nn.init.normal_(transform.weight)
    bench._models["new-bct"] = workbench.Artefact(**vars(bench.model("new-bct")) | {"transform": transform})
    own, _ = bench.pair_features("new-bct", "new-bct")
    crossed, _ = bench.pair_features("new-bct", "old")
    beside, _ = bench.pair_features("new-bct", "new-l2")
    assert np.array_equal(own, beside) and np.array_equal(own, bench.features("new-bct"))
    np.testing.assert_allclose(crossed, own @ transform.weight.detach().numpy().T, rtol=1e-3, atol=1e-3)


def test_force_trains_each_model_once_more(measured):
    bench = Workbench("smoke", 0, "cpu", force=True)
    files = [store.model_file(bench.recipe(name).key) for name in ("new-bct", "old", "new-l2")]
    before = [file.stat().st_mtime_ns for file in files]
    again = bench.model("new-bct")
    assert bench.model("new-bct") is again
    after = [file.stat().st_mtime_ns for file in files]
    assert [a != b for a, b in zip(after, before, strict=True)] == [True, True, False]
    assert bench.model("new-bct").training.losses == measured.model("new-bct").training.losses


def test_recipes_of_the_models():
    bench, other = Workbench("smoke", 0, "cpu"), Workbench("smoke", 1, "cpu")
    names = [*MODELS, "new-l2@0.1"]
    recipes = {name: bench.recipe(name) for name in names}
    same = {"phi1": "old-25", "phi2*": "old", "phi3*": "new*"}  # rows of Table 4 that other tables have too
    same |= {"old-of-21%": "new*-of-10.5%", "old-of-42%": "new*-of-21%"}  # half of one share is the next
    assert all(recipes[one] == recipes[other] for one, other in same.items())
    assert len({recipe.key for recipe in recipes.values()}) == len(names) - len(same)
    assert not {recipe.key for recipe in recipes.values()} & {other.recipe(name).key for name in names}
    for name, recipe in recipes.items():
        spec = find_model(name)
        assert recipe.old == (recipes[spec.old].key if spec.old else None)
        assert "synthetic" in recipe.data  # the version of the data


def test_old_models_come_before_those_that_need_them():
    assert list(with_ancestors(("new-bct", "new*", "old", "new-bct"))) == ["old", "new-bct", "new*"]
    for experiment in ("table1", "tradeoff"):
        names = list(with_ancestors(find_experiment(experiment).models))
        assert len(names) == len(set(names))
        for name in names:
            old = find_model(name).old
            assert old is None or names.index(old) < names.index(name)


def test_an_estimate_grows_with_the_work():
    estimated = {model.name: model.estimated_s for model in plan(find_experiment("table1").models, "smoke", [0])}
    assert estimated["new*"] == pytest.approx(2 * estimated["old"]) and estimated["new-l2"] > estimated["new*"] > 0
    assert [model.seed for model in plan(find_experiment("table1").models, "smoke", [3, 4])] == [3] * 7 + [4] * 7


def test_every_table_is_measured_by_an_experiment_of_known_models():
    for table in TABLES:
        assert table.name in find_experiment(table.name).tables
        assert all(find_model(name) for pair in table.pairs for name in pair)
        assert set(table.pairs) <= set(find_experiment(table.name).pairs)
    for unknown in (find_table, find_experiment):
        with pytest.raises(UsageError, match="table99"):
            unknown("table99")


def test_unknown_scales_and_devices_are_usage_errors():
    for scale, device, says in (("smok", "cpu", "smoke"), ("smoke", "abacus", "abacus")):
        with pytest.raises(UsageError, match=says):
            Workbench(scale, 0, device)
