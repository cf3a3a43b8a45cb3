"""Partial backfill (Fig. 3): ends of the curve, orders, the long-tailed gallery, and its tables by hand."""

from collections.abc import Iterator
from pkgutil import resolve_name

import numpy as np
import pytest
from synthetic_glyphs import synthetic_glyphs

from bctlib.base.errors import BctError
from bctlib.data.protocols import glyph_protocols
from bctlib.data.templates import template_embeddings
from bctlib.data.variants import long_tailed_galleries, zipf_sizes
from bctlib.metrics.backfill import (
    BackfillSearches,
    backfill_searches,
    images_backfilled,
    largest_first,
    least_certain_first,
    random_order,
    tpir_along,
    tpir_along_two_thresholds,
)
from companion.curves import (
    IMAGES,
    LARGEST,
    LEAST_CERTAIN,
    LONG_TAILED,
    LOOSE,
    ORDERS,
    PER_CENT,
    RANDOM_ORDERS,
    SEARCHED_BY_SIZE,
    STANDARD,
    STRICT,
    curve_name,
    tpir_name,
)
from companion.experiments import find_experiment, find_table
from companion.measure.backfill import compare_backfill, compare_backfill_orders
from companion.measure.templates import identification
from companion.results import save_rows
from companion.tables import tables
from companion.tables.cells import View
from companion.tables.shown import backfill as backfill_tables


class Bench:
    """What a comparison asks of a workbench: protocols, and features that are noise around one centre per identity."""

    def __init__(self):
        self.glyphs = synthetic_glyphs(40, 20, 12, missing=0.2)
        self._protocols = glyph_protocols(self.glyphs, np.arange(40), seed=3)

    def protocols(self, part: str = "test"):
        return self._protocols

    def features(self, name: str, part: str = "test") -> np.ndarray:
        pool = self._protocols.pool
        centres = np.random.default_rng(0).normal(size=(40, 12))
        rng = np.random.default_rng(["old", "new"].index(name) + 1)
        noise = rng.normal(size=(pool.size, 12)) * {"old": 1.6, "new": 1.1}[name]
        return (centres[pool.identity] + noise).astype(np.float32)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    yield Bench()


def by_name(rows) -> dict:
    found = {(row.protocol, row.metric, row.operating_point): row.value for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("order", ORDERS[STANDARD])
def test_the_ends_of_the_curve_are_the_searches_of_the_old_and_of_the_new_gallery(bench, order):
    curves = by_name(compare_backfill(bench, "new", "old"))
    for per_cent, gallery in (("0", "old"), ("100", "new")):
        plain = identification(bench.protocols(), bench.features("new"), bench.features(gallery))
        points = [row for row in plain if row.metric == "TPIR@FPIR"]
        assert len(points) >= 2 and 0 < points[0].value < 100
        for row in points:
            key = (curve_name(STANDARD, order), tpir_name(row.operating_point), per_cent)
            assert curves[key] == pytest.approx(row.value, abs=1e-9)


def test_every_curve_has_a_point_every_two_per_cent(bench):
    rows = compare_backfill(bench, "new", "old")
    for order in ORDERS[STANDARD]:
        points = [row.operating_point for row in rows if (row.protocol, row.metric) == (
            curve_name(STANDARD, order), "TPIR@FPIR=0.1")]  # fmt: skip
        assert points == list(PER_CENT) == [str(x) for x in range(0, 101, 2)]


def test_a_model_on_its_own_gallery_has_one_value_and_no_curve(bench):
    own = by_name(compare_backfill(bench, "new", "new"))
    curves = by_name(compare_backfill(bench, "new", "old"))
    assert {(protocol, point) for protocol, _, point in own} == {(STANDARD, "100")}
    for (_, metric, point), value in own.items():
        assert value == curves[curve_name(STANDARD, RANDOM_ORDERS[1]), metric, point]


def test_long_tailed_curves_come_plain_and_weighted_and_with_their_cost(bench):
    curves = by_name(compare_backfill_orders(bench, "new", "old"))
    assert {protocol for protocol, metric, _ in curves if metric == "TPIR@FPIR=0.1"} == {
        curve_name(kind, order) for kind in (LONG_TAILED, SEARCHED_BY_SIZE) for order in ORDERS[LONG_TAILED]
    }
    for order in ORDERS[LONG_TAILED]:
        costs = [curves[curve_name(LONG_TAILED, order), IMAGES, point] for point in PER_CENT]
        assert costs[0] == 0 and costs[-1] == 100 and costs == sorted(costs)
    largest = [curves[curve_name(LONG_TAILED, "largest first"), IMAGES, point] for point in PER_CENT]
    for order in ORDERS[LONG_TAILED]:
        others = [curves[curve_name(LONG_TAILED, order), IMAGES, point] for point in PER_CENT]
        assert all(most >= cost for most, cost in zip(largest, others, strict=True))
    ends = {kind: curves[curve_name(kind, LEAST_CERTAIN), "TPIR@FPIR=0.1", "0"] for kind in ORDERS if kind != STANDARD}
    assert ends[LONG_TAILED] != ends[SEARCHED_BY_SIZE]


def test_searching_a_class_by_its_size_equals_repeating_its_probes():
    rng = np.random.default_rng(5)
    probes, gallery = rng.normal(size=(30, 6)), rng.normal(size=(8, 6))
    old, identity = gallery + rng.normal(size=gallery.shape), np.arange(8)
    wanted, times = rng.integers(12, size=30), rng.integers(1, 5, size=30)
    times[wanted >= 8] = 1
    once = tpir_along(backfill_searches(probes, wanted, old, gallery, identity, points=5), [0.2, 0.5], times=times)
    each = np.repeat(np.arange(30), times)
    repeated = tpir_along(backfill_searches(probes[each], wanted[each], old, gallery, identity, points=5), [0.2, 0.5])
    assert np.array_equal(once, repeated)


def test_two_thresholds_by_hand():
    """Half of the classes are backfilled: of ten non-mated searches one may find a new and one an old template."""
    nonmated_new, nonmated_old = np.arange(10) / 100 + 0.8, np.arange(10) / 100 + 0.5  # thresholds 0.88 and 0.58
    mate, mate_is_new = [0.89, 0.87, 0.60, 0.57, 0.60, 0.88], [True, True, False, False, False, True]
    new, old = [0.70, 0.10, 0.87, 0.10, 0.91, 0.10], [0.50, 0.10, 0.10, 0.10, 0.10, 0.10]
    column = np.array([*mate, *[-np.inf] * 10], np.float32)[:, None]
    searches = BackfillSearches(
        np.array([0.5]), np.arange(16) < 6, column, np.array([*mate_is_new, *[False] * 10])[:, None],
        np.array([*new, *nonmated_new])[:, None], np.array([*old, *nonmated_old])[:, None],
    )  # fmt: skip
    # Hits are the first and the third, which is 0.02 above its threshold though a new template scores higher; the
    # fifth is beaten by a new one 0.03 above, the last only ties with the threshold.
    assert tpir_along_two_thresholds(searches, 0.2).tolist() == [2 / 6]
    assert tpir_along_two_thresholds(searches, 0.2, np.array([1, 1, 4, 1, 1, 2, *[1] * 10])).tolist() == [5 / 10]


def test_two_thresholds_agree_with_one_where_the_gallery_is_of_one_model(bench):
    protocols = bench.protocols().identification
    new, gallery = bench.features("new"), protocols.galleries[0]
    searches = backfill_searches(
        template_embeddings(new, protocols.probes), protocols.probes.identity,
        template_embeddings(bench.features("old"), gallery), template_embeddings(new, gallery), gallery.identity,
        points=11,
    )  # fmt: skip
    for fpir in (0.01, 0.05, 0.3):
        apart, one = tpir_along_two_thresholds(searches, fpir), tpir_along(searches, fpir)
        assert apart[[0, -1]] == pytest.approx(one[[0, -1]], abs=1e-9) and 0 < apart[0] < apart[-1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_order([1, 1], 0), "each class once"),
        (lambda: largest_first([1, 2], [1], 0), "sizes"),
        (lambda: least_certain_first([1], np.ones((1, 2))), "2 or more"),
        (lambda: least_certain_first([1, 2], np.array([[1, np.nan], [0, 1]])), "NaN"),
        (lambda: images_backfilled([1, 2], [1, 1], [1, 3]), "order"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_long_tailed_gallery_takes_first_images_of_the_second_side(bench):
    protocols = bench.protocols()
    standard = protocols.identification.galleries
    galleries = long_tailed_galleries(protocols)
    second = protocols.verification.second
    for gallery, plain in zip(galleries, standard, strict=True):
        assert np.array_equal(gallery.identity, plain.identity)
        for number, identity in enumerate(gallery.identity):
            held = np.concatenate([second.images_of(i) for i in np.flatnonzero(second.identity == identity)])
            chosen = gallery.images_of(number)
            assert 1 <= len(chosen) <= 8 and np.array_equal(chosen, held[: len(chosen)])
            assert (protocols.pool.identity[chosen] == identity).all()
            assert np.isin(protocols.pool.typeface[chosen], protocols.typefaces[1]).all()
        wanted, got = np.sort(zipf_sizes(gallery.size, 8)), np.sort(gallery.images_per_template)
        assert (got <= wanted).all() and got.max() > 4  # smaller where an identity lacks typefaces
    again = long_tailed_galleries(protocols)
    assert all(np.array_equal(a.image_index, b.image_index) for a, b in zip(galleries, again, strict=True))
    other = long_tailed_galleries(protocols, seed=1)
    assert not np.array_equal(other[0].images_per_template, galleries[0].images_per_template)


def test_both_measures_are_entered():
    assert resolve_name(find_experiment("fig3").measure) is compare_backfill
    assert resolve_name(find_experiment("backfill_orders").measure) is compare_backfill_orders


TABLE_POINTS = (0, 10, 20, 50, 80, 100)


def curve_rows(query: str, galleries: str, order: str, seed: int, values, metric=STRICT) -> list[dict]:
    return [
        {
            "seed": seed, "method": "bct", "query_model": query, "gallery_model": "old",
            "protocol": curve_name(galleries, order), "metric": metric, "operating_point": point, "value": value,
            "n_behind": 100, "device": "cpu: test", "versions": "v", "commit": "c", "seconds": 1.0,
        }
        for point, value in zip(TABLE_POINTS, values, strict=True)
    ]  # fmt: skip


def own_rows(model: str, galleries: str, seed: int, value: float) -> list[dict]:
    return [{**curve_rows(model, galleries, "x", seed, [value] * 6)[-1], "gallery_model": model, "protocol": galleries}]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two seeds; orders 1 to 3 differ by 1 point where nothing averages out; least certain first lags behind."""
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path / "figures"))
    fig3, orders = [], []
    for seed in (0, 1):
        for name, shift in zip(RANDOM_ORDERS, (-1, 0, 1), strict=True):
            curve = np.array([40 + seed, 42 + seed, 41 + seed, 50, 56, 60 + seed]) + shift * np.array(
                [0, 1, 1, 1, 1, 0]
            )
            fig3 += curve_rows("new-bct", STANDARD, name, seed, curve)
            orders += curve_rows("new-bct", LONG_TAILED, name, seed, curve)
            orders += curve_rows("new-bct", LONG_TAILED, name, seed, TABLE_POINTS, IMAGES)
        least = [40 + seed, 40 + seed, 41, 50, 56, 60 + seed]
        fig3 += curve_rows("new-bct", STANDARD, LEAST_CERTAIN, seed, least)
        largest = [40 + seed, 44 + seed, 46, 50, 56, 60 + seed]
        orders += curve_rows("new-bct", LONG_TAILED, LARGEST, seed, largest)
        orders += curve_rows("new-bct", LONG_TAILED, LARGEST, seed, [0, 40, 60, 80, 90, 100], IMAGES)
        for model, value in (("old", 41.0), ("new*", 59.0)):
            own = own_rows(model, STANDARD, seed, value)
            fig3 += own + [row | {"metric": LOOSE} for row in own]
    save_rows(fig3, "smoke", "fig3")
    save_rows(orders, "smoke", "backfill_orders")
    return tmp_path


def test_tables_by_hand(results):
    along = backfill_tables.along(View("smoke"))
    row = along.loc["new-bct, one threshold"]
    assert row["10 %"].startswith("42.5 ±") and row["100 %"].startswith("60.5 ±")
    assert row["above the old model"] == "from 10 %"
    assert along.loc["old, no update"]["0 %"].startswith("41.0") and along.loc["old, no update"]["10 %"] == "–"
    steady = backfill_tables.steadiness(View("smoke")).loc["new-bct, one threshold"]
    assert steady["gain"] == "+20.0 ± 0.0" and steady["largest fall"] == "-1.00 ± 0.00"
    assert steady["falls beyond noise"] == "1 of 5 steps" and steady["end less paragon"].startswith("+1.5 ±")
    assert steady["off the line"] == "-15.0 % of gain"  # at 20 %, where 1 of 20 points is reached


def test_order_tables_by_hand(results):
    table = backfill_tables.orders("new-bct", View("smoke"))
    random, least = table.loc["standard galleries, random"], table.loc["standard galleries, least certain first"]
    assert random["after 10 % of classes"] == "10 ± 0" and random["more than random (classes)"] == "–"
    assert least["after 10 % of classes"] == "0 ± 0" and least["more than random (classes)"] == "-10 ± 0"
    largest = table.loc["long-tailed, largest first"]
    assert largest["images"] == "40 %"
    assert largest["after 10 % of classes"] == "20 ± 0" and largest["more than random (classes)"] == "+10 ± 0"
    assert largest["after 10 % of images"] == "5 ± 0" and largest["more than random (images)"] == "-5 ± 0"
    assert not any(name.startswith("long-tailed, searched") for name in table.index)
    assert backfill_tables.orders("new-bct-sys", View("smoke")) is None


def test_the_launcher_shows_both_tables_and_the_figures_are_drawn(results):
    names, view = ("fig3", "backfill_orders"), View("smoke")
    headings = [heading for name in names for heading, _ in tables.tables_of(name, view)]
    assert len(headings) == 3
    for name in names:
        resolve_name(find_table(name).figure)(view)
    drawn = {path.name for path in (results / "figures/smoke").iterdir()}
    assert drawn >= {"fig3_backfill.pdf", "fig3_backfill.png", "fig3_orders.pdf", "fig3_orders.png"}


def test_a_lambda_that_was_not_run_is_said(results):
    with pytest.raises(BctError, match="lambda 0.5"):
        backfill_tables.along(View("smoke", lam=0.5))


def test_a_curve_less_a_cell_is_paired_by_seed():
    """Seeds differ by ten points, the difference by one: the band in the figure is the difference's."""
    curve = backfill_tables.Curve(np.array([0.0, 100.0]), np.array([[50.0, 52], [61, 63], [70, 74]]), (0, 1, 2))
    less = curve.less(backfill_tables.cell_of(np.array([60.0, 70, 50]), (1, 2, 0)))
    assert less.values.tolist() == [[0, 2], [1, 3], [0, 4]] and less.seeds == (0, 1, 2)
    assert less.half_width[0] == pytest.approx(4.303 / 3, rel=1e-3)
    assert curve.less(backfill_tables.cell_of(np.array([60.0, 65]), (1, 7))).seeds == (1,)


def test_a_seed_without_gain_has_no_shares():
    curve = backfill_tables.Curve(np.array([0.0, 100.0]), np.array([[1.0, 2.0], [2.0, 2.0]]), (0, 1))
    assert curve.gain_shares() is None
    assert backfill_tables.above_from(curve, 3.0) == "never" and backfill_tables.above_from(curve, 1.0) == "from 0 %"


@pytest.mark.parametrize("values", [[41.0] * 6, [41.0, 42, 43, 42, 43, 41]], ids=["constant", "ends where it began"])
def test_a_curve_without_gain_has_dashes(results, values):
    rows = [row for name in RANDOM_ORDERS for row in curve_rows("new-bct-sys", STANDARD, name, 0, values)]
    save_rows(rows, "smoke", "fig3")
    steady = backfill_tables.steadiness(View("smoke")).loc["new-bct-sys, one threshold"]
    assert steady["off the line"] == "–" and steady["gain"] == "+0.0"
    assert (steady["correlation"] == "–") == (len(set(values)) == 1)
