"""Update gain against the number of old classes: its interval by hand; tables, figure, conclusions of made results."""

import math

import numpy as np
import pytest
from scipy import stats

from bctlib.base.errors import BctError
from bctlib.models import IDENTITY_SHARES, find_model
from companion.experiments import find_experiment, find_table
from companion.figures import dots
from companion.launcher.targets import TARGETS, find_target
from companion.measure import templates as measure
from companion.results import save_rows
from companion.tables import tables
from companion.tables.cells import Cell, NotMeasured, View
from companion.tables.shown import old_classes

TRAINING_IDENTITIES = 1000
ABOUT = {"method": "bct", "device": "cpu: test, 1 thread", "versions": "v", "commit": "c", "seconds": 1.0}
NOISE = (-0.2, 0.0, 0.2)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path / "figures"))
    return tmp_path


def classes_of(query: str, gallery: str) -> int:
    part = find_model(query).options.get("part", 1.0)
    return round(part * round(TRAINING_IDENTITIES * find_model(gallery).share))


def accuracy(query: str, gallery: str, seed: int) -> float:
    """Old 50, paragon 60: a gain of 10 % more with every doubling of the old classes, 5 % less without other rows."""
    if query == gallery:
        return 50.0 + 10 * query.startswith("new*")
    gain = 10 * math.log2(classes_of(query, gallery) / 50) + 3 * ("sys" in query) - 5 * ("rows" in query)
    return 50.0 + gain / 10 + NOISE[seed]


def save(seeds=(0, 1, 2), value=accuracy, left_out=()) -> None:
    spec = find_table("identities")
    points = [("verification", "TAR@FAR", p) for p in spec.points["TAR@FAR"]]
    points += [("identification", "TPIR@FPIR", p) for p in spec.points["TPIR@FPIR"]]
    rows = []
    for seed in seeds:
        for query, gallery in (pair for pair in spec.pairs if not set(pair) & set(left_out)):
            about = ABOUT | {"seed": seed, "query_model": query, "gallery_model": gallery, "n_behind": 100}
            measured = [(*point, value(query, gallery, seed)) for point in points]
            measured += [(measure.TRAINING, "classes", "", classes_of(query, gallery))]
            names = ("protocol", "metric", "operating_point", "value")
            rows += [about | dict(zip(names, each, strict=True)) for each in measured]
    save_rows(rows, "smoke", "identities")


def test_the_gain_is_that_of_the_means_and_its_interval_that_of_a_ratio():
    new, old, best = np.array([52.0, 53.0, 55.0]), np.array([50.0, 49.0, 51.0]), np.array([60.0, 61.0, 59.0])
    cells = [Cell(v.mean(), 0.0, tuple(v), (0, 1, 2)) for v in (new, old, best)]
    gain = old_classes.gain_with_interval(*cells)
    a, b = new - old, best - old
    ratio = a.sum() / b.sum()
    half = stats.t.ppf(0.975, 2) * np.std(a - ratio * b, ddof=1) / math.sqrt(3) / b.mean()
    assert (gain.mean, gain.half_width) == pytest.approx((100 * ratio, 100 * half))
    assert gain.seeds == (0, 1, 2)
    # the first-order expansion: a small change of one seed's accuracy moves the ratio as it moves the mean of values
    assert np.mean(gain.values) == pytest.approx(gain.mean)


def test_a_gain_is_negative_where_eq_2_fails_and_none_without_a_better_paragon():
    def cell(*values):
        return Cell(float(np.mean(values)), 0.0, values, tuple(range(len(values))))

    assert old_classes.gain_with_interval(cell(48, 48), cell(50, 50), cell(60, 60)).mean == pytest.approx(-20)
    assert math.isnan(old_classes.gain_with_interval(cell(51, 51), cell(50, 50), cell(50, 50)).mean)
    assert math.isnan(old_classes.gain_with_interval(cell(51, 51), cell(50, 50), cell(49, 49)).mean)
    one = old_classes.gain_with_interval(cell(51), cell(50), cell(60))
    assert one.mean == pytest.approx(10) and math.isnan(one.half_width)
    with pytest.raises(BctError, match="no seed"):
        old_classes.gain_with_interval(Cell(1, 0, (1,), (0,)), Cell(1, 0, (1,), (1,)), Cell(1, 0, (1,), (0,)))


def test_tables_have_a_row_for_each_number_of_old_classes():
    save()
    (_, fewer), (_, part), (_, points) = tables.tables_of("identities", View("smoke"))
    assert list(fewer.index) == ["52", "105", "210", "500"]  # half of 10.5, 21, 42 and 100 % of 1,000
    assert list(fewer["identities of new"]) == ["105", "210", "420", "1,000"]
    basic, sys = (fewer.loc["500", f"1:N TPIR@FPIR=1e-2, {name}"] for name in old_classes.FORMS)
    assert (basic, sys) == ("+33.2 ± 5.0", "+36.2 ± 5.0")  # 4.303 * 2 / sqrt(3)
    assert list(part.index) == ["50", "100", "200", "500"]
    assert part.loc["100", "1:1 TAR@FAR=1e-4, all rows compete"] == "+10.0 ± 5.0"
    assert part.loc["100", "1:1 TAR@FAR=1e-4, only their rows compete"] == "+5.0 ± 5.0"
    assert part.loc["50", "1:1 TAR@FAR=1e-4, only their rows compete"] == "-5.0 ± 5.0"
    assert part.loc["500", "1:1 TAR@FAR=1e-4, all rows compete"] == basic
    assert len(points) == 2 * len(IDENTITY_SHARES) + 6 and len(points.columns) == 8
    assert points.loc["(new-bct, old)", "TAR@FAR=1e-6"] == basic


def test_conclusions_follow_the_results_in_both_directions():
    save()
    text = old_classes.conclusions(View("smoke"))
    assert "With more old classes the update gain grows. Of 4 comparisons: 4 as predicted, 0 against" in text
    assert "1:1, new-bct, from 52 to 500 old classes: +32.7 ± 0.0 points, as predicted" in text
    assert "fewer old rows give a smaller gain. Of 6 comparisons: 6 as predicted" in text
    assert "1:N, images of 200 old classes, only their rows against all rows: -5.0 ± 0.0 points, as predicted" in text
    save(value=lambda query, gallery, seed: 110 - accuracy(query, gallery, seed) if query != gallery
         else accuracy(query, gallery, seed))  # fmt: skip
    assert "0 as predicted, 6 against the prediction, 0 undecided" in old_classes.conclusions(View("smoke"))


def test_one_seed_decides_nothing():
    save(seeds=(1,))
    text = old_classes.conclusions(View("smoke"))
    assert "0 as predicted, 0 against the prediction, 4 undecided" in text and "±" not in text


def test_a_diverged_model_leaves_a_dash_and_the_figure_draws(folders):
    save(left_out=("new-bct-sys-of-21%", "new-bct-rows-20%"))
    (_, fewer), (_, part), (_, points) = tables.tables_of("identities", View("smoke"))
    assert fewer.loc["105", "1:1 TAR@FAR=1e-4, new-bct-sys"] == "–"
    assert part.loc["100", "1:1 TAR@FAR=1e-4, only their rows compete"] == "–"
    assert set(points.loc["(new-bct-rows-20%, old)"]) == {"–"}
    assert "Of 4 comparisons" in old_classes.conclusions(View("smoke"))
    figure = dots.plot_old_classes(View("smoke"))
    assert len(figure.axes) == 2 and all(ax.get_xscale() == "log" for ax in figure.axes)
    assert (folders / "figures/smoke/identities.png").exists()


def test_what_was_not_measured_says_so():
    assert not tables.is_measured("identities", "smoke")
    save()
    assert tables.is_measured("identities", "smoke")
    with pytest.raises(NotMeasured, match="identities was not measured at lambda 0.5"):
        tables.tables_of("identities", View("smoke", lam=0.5))


class FakeBench:
    """Ten classes in every model."""

    def model(self, name):
        return type("Model", (), {"classes": tuple("abcdefghij")})

    def recipe(self, name):
        return find_model(name)


@pytest.mark.parametrize(("query", "count"), [("new-bct", 10), ("new-bct-images-20%", 2), ("new-bct-rows-40%", 4)])
def test_the_classes_in_the_influence_loss_are_counted(monkeypatch, query, count):
    monkeypatch.setattr(measure, "compare", lambda *given: [given[1:]])
    first, counted = measure.compare_and_count(FakeBench(), query, "old", "test")
    assert first == (query, "old", "test")
    assert (counted.protocol, counted.metric, counted.operating_point, counted.value) == (
        "training",
        "classes",
        "",
        count,
    )


def test_the_target_is_optional_and_its_models_are_a_series_each():
    target = find_target("identities")
    assert target in TARGETS and target.optional and not target.in_all and target.notebook == "02_robustness.ipynb"
    models = set(find_experiment("identities").models)
    assert models <= set(target.trained({})) and not models <= set(target.trained({"identities": False}))
    for share, of in zip(IDENTITY_SHARES, ("-of-10.5%", "-of-21%", "-of-42%", ""), strict=True):
        old, *new = (find_model(f"{name}{of}") for name in ("old", "new*", "new-bct", "new-bct-sys"))
        assert old.share == share / 2 and {spec.share for spec in new} == {share}
        assert [spec.old for spec in new] == [None, old.name, old.name]
        assert find_table("identities").paragon(f"new-bct{of}") == (f"new*{of}", f"new*{of}")
    assert find_table("identities").paragon("new-bct-rows-20%") == ("new*", "new*")
