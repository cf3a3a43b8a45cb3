"""Practices of a backfill: measured on a bench of random models, and their table by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny import row

from bctlib.data.templates import TemplateSet
from companion.curves import CASCADE, FILTERED, MERGED, RANDOM_ORDERS, STANDARD, STRICT, TENTHS, curve_name
from companion.figures.drawn.merging import plot_practices
from companion.measure.mapped import merging
from companion.results import save_rows
from companion.tables.cells import View
from companion.tables.shown.merging import DUAL_WRITE, practice_table

RNG = np.random.default_rng(0)
IDENTITIES = np.repeat(np.arange(60), 10)
CENTRES = {name: RNG.normal(size=(60, 16)) for name in ("old", "new*")}
FEATURES = {
    name: (CENTRES[name][IDENTITIES] + spread * RNG.normal(size=(600, 16))).astype(np.float32)
    for name, spread in (("old", 1.2), ("new*", 0.9))
}


def templates(rows) -> TemplateSet:
    return TemplateSet(rows, np.arange(len(rows) + 1), IDENTITIES[rows])


class Bench:
    """60 identities; the first image is enrolled, half of the identities in either gallery."""

    def features(self, name, part):
        return FEATURES[name]

    def recipe(self, name):
        return SimpleNamespace(key=name)

    def protocols(self, part):
        rows = np.arange(600)
        halves = tuple(templates(rows[(rows % 10 == 0) & (IDENTITIES % 2 == half)]) for half in (0, 1))
        probes = templates(rows[rows % 10 > 0])
        return SimpleNamespace(identification=SimpleNamespace(probes=probes, galleries=halves))


def test_merging_starts_with_the_old_model_and_ends_with_the_new(monkeypatch):
    made = SimpleNamespace(apply=lambda features, *ids: FEATURES["old"])
    monkeypatch.setattr(merging, "best_map", lambda bench, query, gallery: made)
    monkeypatch.setattr(merging, "CANDIDATES", 5)
    impostors = RNG.normal(size=(2, 2000))
    monkeypatch.setattr(
        merging, "pair_scores", lambda p, q, g, keep: SimpleNamespace(impostor=impostors[int(q is FEATURES["old"])] / 4)
    )
    found = merging.compare_practices(Bench(), "new*", "old")
    value = {(each.protocol, each.metric, each.operating_point): each.value for each in found}
    own = {
        name: {each.metric: each.value for each in merging.compare_practices(Bench(), name, name)}
        for name in ("old", "new*")
    }
    assert {name for name, *_ in value} == {
        curve_name(kind, order) for kind in (MERGED, CASCADE) for order in RANDOM_ORDERS
    }
    for order in RANDOM_ORDERS:
        assert value[curve_name(MERGED, order), STRICT, "0"] == own["old"][STRICT]
        for kind in (MERGED, CASCADE):
            assert value[curve_name(kind, order), STRICT, "100"] == own["new*"][STRICT]
        assert value[curve_name(CASCADE, order), STRICT, "0"] > own["old"][STRICT]


def test_filtered_queries_search_the_old_part_alone(monkeypatch):
    """Without effect the filter leaves the curve of one index; one that turns queries about is felt by the old part."""
    bench = Bench()
    bench.features = lambda name, part: FEATURES["new*" if name == "new-bct" else "old"]
    curves = {}
    for name, matrix in {"none": np.eye(16), "about": -np.eye(16)}.items():
        monkeypatch.setattr(merging, "best_filter", lambda bench, query, gallery, matrix=matrix: matrix)
        for each in merging.compare_practices(bench, "new-bct", "old"):
            curves.setdefault((name, each.protocol, each.metric), []).append(each.value)
    for order in RANDOM_ORDERS:
        one, none, about = (
            curves[name, curve_name(kind, order), STRICT]
            for name, kind in (("none", STANDARD), ("none", FILTERED), ("about", FILTERED))
        )
        assert len(one) == len(TENTHS) and none == pytest.approx(one)
        assert about[-1] == one[-1] and about[0] == 0.0


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Rank merge rises from 40 to 60, BCT from 45 to 55, in two seeds of one value; old 40, paragon 60."""
    for name in ("BCT_RESULTS", "BCT_FIGURES"):
        monkeypatch.setenv(name, str(tmp_path))
    rows = []
    for seed in (0, 1):
        where = {"metric": STRICT, "seed": seed}
        for model, value in (("old", 40), ("new*", 60)):
            own = {"query_model": model, "gallery_model": model, "protocol": STANDARD, "operating_point": "100"}
            rows.append(row(value=value, **own, **where))
        for query, kind, first, last in (("new-bct", STANDARD, 45, 55), ("new*", MERGED, 40, 60)):
            for order in RANDOM_ORDERS:
                for point in TENTHS:
                    value = first + (last - first) * int(point) / 100
                    curve = {"protocol": curve_name(kind, order), "operating_point": point}
                    rows.append(row(query_model=query, gallery_model="old", value=value, **curve, **where))
    for loose in ("TPIR@FPIR=0.1",):
        rows += [each | {"metric": loose} for each in rows]
    save_rows(rows, "smoke", "merging")
    return View("smoke")


def test_the_table_by_hand(measured):
    table = practice_table(measured, STRICT)
    assert table["area, % of the gain"].tolist() == ["50 ± 0", "50 ± 0", "0"]
    assert table.loc["new* and old, rank merge", "50 %"].startswith("50.0")
    assert table.loc[DUAL_WRITE, "50 %"].startswith("40.0") and table.loc[DUAL_WRITE, "100 %"].startswith("60.0")
    assert table.loc["new* and old, rank merge", "embeddings per query"].startswith("2")
    plot_practices(measured)
