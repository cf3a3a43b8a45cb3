"""The steps of an upgrade: what lies in the index at each, who serves, what it measures, and what is shown of it."""

from dataclasses import dataclass, field
from pkgutil import resolve_name
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from synthetic_glyphs import synthetic_glyphs

from bctlib.base.errors import BctError
from bctlib.data.protocols import glyph_protocols
from bctlib.metrics.blocks import prefix, unit_rows
from bctlib.upgrade.serve.kinds import KINDS
from bctlib.upgrade.serve.latency import recall
from bctlib.upgrade.serve.steps import ALL_DIMENSIONS, BACKFILL, DAY_0, END, NEW_ITEMS, NEW_QUERIES, STEPS
from bctlib.upgrade.serve.upgrade import Upgrade, dual_write, one_index
from companion import curves
from companion.experiments import find_experiment, find_table
from companion.measure import speed
from companion.measure import upgrade as live_upgrade
from companion.measure.upgrade import gallery_side, is_added
from companion.results import load_rows, save_rows
from companion.tables.cells import View
from companion.tables.shown import upgrade as live_upgrade_tables
from companion.tables.tables import tables_of
from companion.workbench import Workbench

rng = np.random.default_rng(5)
POOL = {"old": rng.normal(size=(60, 6)).astype(np.float32), "new": rng.normal(size=(60, 9)).astype(np.float32)}
CLASS = np.repeat(np.arange(20), 3)
FIRST, LATER = np.flatnonzero(CLASS < 16), np.flatnonzero(CLASS >= 16)


def upgrade(order=range(16), kind="flat") -> Upgrade:
    return Upgrade(
        FIRST, CLASS[FIRST], LATER, CLASS[LATER], list(order), "old", "new", lambda model, items: POOL[model][items],
        6, 9, kind,
    )  # fmt: skip


def vectors_at(step: str, order) -> np.ndarray:
    """What must be in force in the one index, by item; NaN for items that are not there."""
    share = BACKFILL.get(step, 0.0)
    done = np.isin(CLASS, list(order)[: round(16 * share)])
    vectors = np.where(done[:, None], prefix(POOL["new"], 6), unit_rows(POOL["old"]))
    vectors[LATER] = prefix(POOL["new"][LATER], 6) if step not in (DAY_0, NEW_QUERIES) else np.nan
    return vectors


@pytest.mark.parametrize("kind", KINDS)
def test_one_index_holds_the_vectors_in_force_at_every_step(kind):
    order, seen = rng.permutation(16).tolist(), []
    for step in one_index(upgrade(order, kind)):
        seen.append(step.name)
        assert step.queries_by == ("old" if step.name == DAY_0 else "new")
        assert step.indexes == (step.index,)
        if step.name == ALL_DIMENSIONS:
            assert step.index.dim == 9 and np.allclose(step.index.contents()["vectors"], unit_rows(POOL["new"]))
            continue
        expected, held = vectors_at(step.name, order), step.index.contents()
        items = np.flatnonzero(~np.isnan(expected[:, 0]))
        assert held["items"].tolist() == items.tolist() and held["classes"].tolist() == CLASS[items].tolist()
        assert np.allclose(held["vectors"], expected[items], atol=1e-6)
        by_new = held["made_by"] == "new"
        assert step.embedded == by_new.sum()
    assert tuple(seen) == STEPS


def test_dual_write_serves_the_old_model_from_the_old_index_until_the_end():
    for step in dual_write(upgrade()):
        if step.name == END:
            assert step.queries_by == "new" and step.indexes == (step.index,) and step.index.models == {"new": 60}
            assert step.embedded == 48 + 2 * 12
            assert np.allclose(step.index.contents()["vectors"], unit_rows(POOL["new"]))
        else:
            assert step.queries_by == "old" and set(step.index.models) == {"old"}
            assert len(step.indexes) == (1 if step.name == DAY_0 else 2)
            assert len(step.index) == (48 if step.name in (DAY_0, NEW_QUERIES) else 60)
    assert step.name == END  # a wider model needs no further step: its index has its own width


def test_the_end_is_the_same_in_whatever_order_a_flat_index_was_backfilled():
    ends = []
    for order in (range(16), reversed(range(16)), rng.permutation(16)):
        steps = {step.name: step.index.contents() for step in one_index(upgrade(order))}
        ends.append(steps[END])
    for other in ends[1:]:
        assert all(np.array_equal(ends[0][name], other[name]) for name in other)


def test_a_batch_holds_whole_classes_in_order():
    order = [5, 0, 15, 3, 1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    batches = dict(upgrade(order).batches())
    assert list(batches) == list(BACKFILL)
    assert batches["25 %"].tolist() == [15, 16, 17, 0, 1, 2, 45, 46, 47, 9, 10, 11]
    assert sorted(np.concatenate(list(batches.values())).tolist()) == FIRST.tolist()


def test_recall_by_hand():
    exact = np.array([[1, 2, 3], [4, 5, -1]])
    assert recall(np.array([[1, 3, 9], [5, 4, -1]]), exact) == (0.5, pytest.approx(4 / 5))
    assert recall(exact, exact) == (1.0, 1.0)


@pytest.fixture(scope="module")
def protocols():
    return glyph_protocols(
        synthetic_glyphs(n_identities=40, n_typefaces=12), np.arange(40), seed=3, probe_sizes=(2, 1, 1, 1)
    )


@dataclass
class Bench:
    """A workbench whose models are given as functions from the pool to features."""

    known: object
    models: dict = field(default_factory=dict)
    scale: str = "smoke"
    seed: int = 0
    task: str = "faces"
    data = SimpleNamespace(parts=("test", "validation"))
    about = Workbench.about
    pair_features = Workbench.pair_features

    def protocols(self, part="test"):
        return self.known

    def features(self, name, part="test"):
        return self.models[name](self.known.pool).astype(np.float32)

    def recipe(self, name):
        return SimpleNamespace(key=f"key of {name}")

    def model(self, name):
        training = SimpleNamespace(device="cpu: test, 1 thread", versions="v", commit="c", seconds=1.0)
        return SimpleNamespace(training=training, transform=None)


def knows(pool):
    return np.eye(40)[pool.identity]


def knows_in_80_dimensions(pool):
    return np.hstack([knows(pool), 0.5 * knows(pool)])


def guesses(pool):
    return np.random.default_rng(0).normal(size=(pool.size, 40))


@pytest.fixture
def bench(protocols, tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path / "figures"))
    models = {"old": guesses, "new*": knows, "new-bct-sys": knows, "new-deep-256d": knows_in_80_dimensions}
    return Bench(protocols, models)


def values(found, protocol, metric):
    return {m.operating_point: m.value for m in found if (m.protocol, m.metric) == (protocol, metric)}


FLAT = curves.upgrade_name(curves.FLAT, curves.RANDOM)


def test_a_perfect_compatible_model_is_right_about_all_that_it_embedded(bench):
    found = live_upgrade.compare_upgrade(bench, "new-deep-256d", "old")
    added = values(found, FLAT, curves.RANK + curves.ADDED)
    assert list(added) == [*STEPS[2:]] and added[END] == added[ALL_DIMENSIONS] == 100
    rank = values(found, FLAT, curves.RANK)
    assert list(rank) == list(STEPS) and rank[END] == 100
    # A right answer costs nothing, so more of them are right the more is backfilled; old vectors only guess.
    assert rank["25 %"] < rank["50 %"] < rank["75 %"] < 100 and rank[DAY_0] < 30
    embedded = values(found, FLAT, curves.EMBEDDED)
    assert embedded[NEW_QUERIES] == 0 and embedded[NEW_ITEMS] < embedded["25 %"] < embedded[END]
    largest = values(found, curves.upgrade_name(curves.FLAT, curves.LARGEST), curves.EMBEDDED)
    assert list(largest) == list(BACKFILL) and largest["25 %"] > embedded["25 %"] and largest[END] == embedded[END]
    for kind in curves.APPROXIMATE:
        recalls = values(found, curves.upgrade_name(kind, curves.RANDOM), curves.RECALL_10)
        assert list(recalls) == list(STEPS) and recalls[DAY_0] > 90 and max(recalls.values()) <= 100
    for pooling in (curves.AVERAGE, curves.ATTENTION):
        assert values(found, pooling, curves.RANK)[END] == 100


def test_dual_write_gains_at_the_end_and_nothing_before(bench):
    found = live_upgrade.compare_upgrade(bench, "new*", "old")
    rank = values(found, FLAT, curves.RANK)
    assert ALL_DIMENSIONS not in rank and rank[END] == 100
    assert rank[DAY_0] == rank[NEW_QUERIES] and rank[NEW_ITEMS] == rank["25 %"] == rank["75 %"]
    held = values(found, FLAT, curves.BYTES)
    assert held["75 %"] > 1.5 * held[END] and held[NEW_QUERIES] == held[DAY_0]
    assert not values(found, curves.AVERAGE, curves.RANK)


def test_accuracy_is_that_of_a_loop_over_all_vectors(bench):
    """Rank 1 of added classes and of those of day 0, of the mixed index, by a plain loop."""
    bench.models["new-bct-sys"] = lambda pool: knows(pool) + 0.6 * guesses(pool)
    found = values(live_upgrade.compare_upgrade(bench, "new-bct-sys", "old"), FLAT, curves.RANK)
    shares = []
    for number in (0, 1):
        side = gallery_side(bench, number, "new-bct-sys", "old")
        day = side.upgrade()
        items, classes = np.append(day.items, day.new_items), np.append(day.classes, day.new_classes)
        models = [side.old] * len(day.items) + [side.new] * len(day.new_items)
        vectors = unit_rows(np.array([side.features[m][i] for m, i in zip(models, items, strict=True)]))
        hits = []
        for query, identity in zip(side.probes[side.new], side.probe_class, strict=True):
            if identity in day.classes:
                hits.append(classes[np.argmax(vectors @ query)] == identity)
        shares.append(100 * np.mean(hits))
    assert found[NEW_ITEMS] == pytest.approx(np.mean(shares))


def test_a_fifth_of_the_classes_comes_later_whatever_the_model(bench):
    classes = np.repeat(np.arange(50), 2)
    assert is_added(classes, 0).sum() == 20 and (is_added(classes, 0) != is_added(classes, 1)).any()
    sides = [gallery_side(bench, 0, query, "old").upgrade() for query in ("new*", "new-bct-sys")]
    assert np.array_equal(sides[0].new_items, sides[1].new_items) and len(sides[0].new_items)
    assert not set(sides[0].classes) & set(sides[0].new_classes)
    assert sorted(sides[0].order) == np.unique(sides[0].classes).tolist()


def test_the_experiment_is_registered():
    assert resolve_name(find_experiment("upgrade").measure) is live_upgrade.compare_upgrade
    assert find_experiment("upgrade").models == ("new-bct-sys", "old", "new-deep-256d", "new*")


def measured_rows(bench: Bench) -> pd.DataFrame:
    spec, rows = find_table("upgrade"), []
    for pair in spec.pairs:
        for m in live_upgrade.compare_upgrade(bench, *pair):
            assert m.operating_point in spec.points[m.metric]
            rows.append(bench.about(*pair) | {
                "protocol": m.protocol, "metric": m.metric, "operating_point": m.operating_point, "value": m.value,
                "n_behind": m.n_behind,
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_tables_show_the_results_and_the_figure_is_drawn_with_the_same_bytes(bench, tmp_path):
    rows = measured_rows(bench)
    save_rows(rows, "smoke", "upgrade")
    save_rows(rows.assign(seed=1, value=rows["value"] + 1), "smoke", "upgrade")
    tables = dict(tables_of("upgrade", View("smoke")))
    rank = tables["Live upgrade, rank 1, classes of day 0, backfilled in random order, %"]
    assert rank.loc["new-deep-256d, one index", END].startswith("100.5 ±")
    assert rank.loc["new*, dual write", ALL_DIMENSIONS] == "–"
    assert rank.loc[f"{live_upgrade_tables.LESS}: new-deep-256d, one index", END] == "+0.0 ± 0.0"
    held = tables["Live upgrade, what is held and done, G1 and G2 on average"]
    assert any("hnsw, tombstones" in name for name in held.index)
    assert "Prototypes by average and by attention, %" in tables
    draw = resolve_name(find_table("upgrade").figure)
    drawn = []
    for _ in range(2):
        draw(View("smoke"))
        drawn.append((tmp_path / "figures/smoke/live_upgrade.png").read_bytes())
    assert drawn[0] == drawn[1]
    with pytest.raises(BctError, match="lambda 0.5"):
        tables_of("upgrade", View("smoke", lam=0.5))


def test_timings_are_rows_of_a_table_of_their_own(bench, monkeypatch):
    monkeypatch.setattr(speed, "_embedding", lambda bench, name: [])
    speed.save_speed(bench)
    rows = load_rows("smoke", speed.SPEED_TABLE)
    assert (rows["value"] >= 0).all() and rows["device"].str.startswith("cpu: ").all()
    for kind in KINDS:
        steps = rows[(rows["protocol"] == f"{speed.STEPS_OF}{kind}")]
        assert set(steps["operating_point"]) == set(STEPS[:-1])
        pool = rows[rows["protocol"] == f"{speed.POOL}{kind}"]
        assert set(pool["operating_point"]) == {speed.ALL} and len(pool) == 7
    exact = rows[(rows["protocol"] == f"{speed.POOL}flat") & (rows["metric"] == curves.RECALL_10)]
    assert exact["value"].tolist() == [100]
