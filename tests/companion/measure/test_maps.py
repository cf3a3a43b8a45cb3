"""Maps in the companion: fitted to training images, chosen on validation identities, applied image by image."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import row

from bctlib.base.errors import UsageError
from companion.measure.mapped import every_map as maps
from companion.measure.mapped.every_map import MAPS, STRENGTH, WEIGHTED, WEIGHTS, compare_maps, mapped
from companion.measure.templates import Measurement
from companion.results import save_rows
from companion.tables.cells import View
from companion.tables.shown.maps import map_table, pairs_table, predictions, readings

RNG = np.random.default_rng(0)
TURN = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
OLD = {
    part: RNG.normal(size=(n, 6)).astype(np.float32) for part, n in (("train", 700), ("validation", 30), ("test", 40))
}


class Bench:
    """The new model is the old one, turned: a rotation leads back exactly."""

    scale, data = "smoke", SimpleNamespace(parts=("test", "validation"))

    def recipe(self, name):
        return SimpleNamespace(key=name)

    def model(self, name):
        head = SimpleNamespace(weight=torch.eye(6))
        return SimpleNamespace(dim=6, as_old=lambda: SimpleNamespace(head=head))

    def features(self, name, part):
        return OLD[part] if name == "old" else OLD[part] @ TURN.astype(np.float32)

    def protocols(self, part):
        return part


@pytest.fixture
def seen(monkeypatch):
    """(part, protocol, queries) of everything that is measured; accuracy is closeness to the old features."""
    found = []

    def measured(name, metric, point):
        def measure(part, queries, items, variant):
            found.append((part, name + variant, queries))
            value = 100 - float(np.abs(queries - items).mean())
            return [Measurement(name + variant, metric, point, value, 10)]

        return measure

    monkeypatch.setattr(maps, "verification", measured("verification", "TAR@FAR", 1e-4))
    monkeypatch.setattr(maps, "identification", measured("identification", "TPIR@FPIR", 1e-2))
    monkeypatch.setattr(maps, "training_features", lambda bench, name: bench.features(name, "train"))
    return found


def test_a_rotation_leads_back_to_the_old_space(seen):
    rows = compare_maps(Bench(), "new*", "old")
    tested = {protocol: queries for part, protocol, queries in seen if part == "test"}
    assert not np.allclose(tested["verification"], OLD["test"], atol=0.1)
    np.testing.assert_allclose(tested["verification" + mapped("orthogonal")], OLD["test"], atol=1e-4)
    unit = OLD["test"] / np.linalg.norm(OLD["test"], axis=1, keepdims=True)
    np.testing.assert_allclose(tested["verification" + mapped("midpoint")], unit, atol=0.05)
    assert {each.protocol for each in rows} >= {f"identification{mapped(kind)}" for kind in MAPS}


def test_strengths_are_chosen_on_validation_identities(seen):
    rows = compare_maps(Bench(), "new*", "old")
    strengths = {each.operating_point: each.value for each in rows if each.metric == STRENGTH}
    assert set(strengths) == set(MAPS) - {"orthogonal", "centred-orthogonal"}
    assert strengths[WEIGHTED] in WEIGHTS
    assert all(value < math.inf or math.isnan(value) for value in strengths.values()), "results hold no infinity"
    assert strengths["low-rank"] == 6, "all six directions are needed"
    assert sum(part == "test" for part, *_ in seen) == 2 * (1 + len(MAPS) + 2), "once each; 128 and 500 of 700 pairs"


def test_the_paper_scale_has_no_identities_to_choose_on():
    bench = Bench()
    bench.data, bench.scale = SimpleNamespace(parts=("test",)), "paper"
    with pytest.raises(UsageError, match="maps cannot be made at paper scale"):
        compare_maps(bench, "new*", "old")


def test_tables_and_predictions_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    points = {"verification": ("TAR@FAR", 1e-4), "identification": ("TPIR@FPIR", 1e-2), "rank": ("rank", 1)}

    def save(table, query, value, kind=""):
        for protocol, (metric, point) in points.items():
            protocol = ("identification" if protocol == "rank" else protocol) + kind
            where = {"protocol": protocol, "metric": metric, "operating_point": point}
            save_rows([row(query_model=query, gallery_model="old", value=value, **where)], "smoke", table)

    save("maps", "old", 60)
    for query, plain, single, middle in (
        ("new*", 0, 59, 61),
        ("new-bct", 61, 62, 63),
        ("new-bct-sys", 62, 61, 63),
        ("new-bct-kd", 62, 62, 62),
    ):
        save("maps", query, plain)
        for kind in MAPS:
            save("maps", query, middle if kind.startswith("midpoint") else single, mapped(kind))
    table = map_table(View("smoke"), ("new*", "old"))
    assert table.loc["ridge", "1:1 FAR=1e-4"] == "59.0 (-1.0)" and table.loc["midpoint", "Eq. 2 at rank 1"] == "yes"
    assert pairs_table(View("smoke")).loc["(new*, old), rank 1"].iloc[-1] == "59.0"
    lines = predictions(View("smoke")).splitlines()
    assert [line.split("**")[1] for line in lines] == ["Came true"] * 3 + ["Did not come true"] * 3
    assert "on new-bct-sys ridge brings -1.0 points" in lines[3]
    said = readings(View("smoke"))
    assert r"new\*, low-rank, against old: -1.0 at 1:1 FAR=1e-4, -1.0 at 1:N FPIR=1e-2, -1.0 at rank 1;" in said
    assert "ridge on top of new-bct, against new-bct as it is: +1.0 at 1:1" in said and said.endswith("rank 1.")
