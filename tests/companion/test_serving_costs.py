"""What an upgrade costs, by hand: products of measured throughput, and HNSW's rebuilds as the index counts them."""

import numpy as np
import pytest

from bctlib.upgrade.serve.costs import Throughput, upgrade_costs
from bctlib.upgrade.serve.live_index import LiveIndex
from companion.measure.speed import ADDED_PER_S, ALL, BYTES_PER_VECTOR, EMBEDDING, IMAGES_PER_S, POOL, SPEED_TABLE
from companion.results import save_rows
from companion.tables.shown import costs as live_upgrade_costs

OF = Throughput(images_per_s=1000, added_per_s=10_000, bytes_per_vector=500)


def test_a_million_images_by_hand():
    one, serves, both, merged = upgrade_costs(10**6, OF)
    assert (merged.query_embeddings, merged.item_embeddings, merged.storage) == (2, 1, one.storage)
    assert merged.wait_s == 0 and merged.backfill_s == one.backfill_s and not merged.must
    assert (one.wait_s, one.must, one.storage) == (0, False, 5e8)
    assert one.backfill_s == pytest.approx(1000 + 100) and one.rebuilt_s == 0
    for dual in (serves, both):
        assert dual.wait_s == dual.backfill_s == pytest.approx(1100)
        assert dual.must and dual.storage == 1e9 and dual.item_embeddings == 2
    assert [each.query_embeddings for each in (one, serves, both)] == [1, 1, 2] and one.item_embeddings == 1


def test_everything_grows_with_the_gallery():
    small, large = (upgrade_costs(n, OF) for n in (10**6, 10**9))
    for few, many in zip(small, large, strict=True):
        assert many.wait_s == pytest.approx(1000 * few.wait_s) and many.storage == pytest.approx(1000 * few.storage)


@pytest.mark.parametrize(("n", "share"), [(120, 1 / 3), (120, 0.25), (121, 0.5), (60, 0.1), (60, 1.0)])
def test_rebuilds_and_tombstones_are_those_of_an_index_that_is_backfilled(n, share):
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2, n, 8)).astype(np.float32)
    index = LiveIndex(8, "hnsw", {"new": "old"}, rebuild_at=share)
    index.add(np.arange(n), np.arange(n), old, "old")
    most = 0
    for item in range(n):
        before = index.tombstones
        index.replace([item], new[item : item + 1], "new")
        most = max(most, before + 1)
    one = upgrade_costs(n, OF, share)[0]
    assert one.rebuilt_s == pytest.approx(index.rebuilds * n / OF.added_per_s)
    assert one.storage == pytest.approx((n + most) * OF.bytes_per_vector)
    assert index.inserted == n + n + index.rebuilds * n


@pytest.mark.parametrize("n", [10**6, 10**8, 10**9])
def test_a_large_graph_is_rebuilt_once_where_a_third_may_be_tombstones(n):
    one = upgrade_costs(n, OF, 1 / 3)[0]
    assert one.rebuilt_s == pytest.approx(n / OF.added_per_s)
    assert one.storage == pytest.approx(1.5 * n * OF.bytes_per_vector)


def test_the_table_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    about = {
        "seed": 0, "method": "bct", "query_model": "new", "gallery_model": "old", "operating_point": ALL,
        "n_behind": 1, "device": "cpu: test", "versions": "v", "commit": "c", "seconds": 0.0,
    }  # fmt: skip
    rows = [about | {"protocol": EMBEDDING, "metric": IMAGES_PER_S, "value": 1000.0}]
    for kind, added in (("flat", 1e5), ("hnsw", 1e3)):
        rows += [about | {"protocol": f"{POOL}{kind}", "metric": ADDED_PER_S, "value": added}]
        rows += [about | {"protocol": f"{POOL}{kind}", "metric": BYTES_PER_VECTOR, "value": 500.0}]
    save_rows(rows, "smoke", SPEED_TABLE)
    flat, hnsw = (live_upgrade_costs.cost_table("smoke", kind) for kind in ("flat", "hnsw"))
    assert flat.loc[("1,000,000", "compatible, one index")].tolist() == [
        "at once", "0.278", "0.00278", "at leisure, or never", "500 MB", "1", "1",
    ]  # fmt: skip
    # 10^8 images at 1000 a second are 27.8 hours; 2 x 10^8 vectors of 500 bytes are 100 GB.
    assert flat.loc[("100,000,000", "dual write, both searched")].tolist() == [
        "1.17 days", "27.8", "0.278", "before the new model serves", "100 GB", "2", "2",
    ]  # fmt: skip
    # One rebuild inserts the million once more, and half as many tombstones lie in the graph before it.
    assert hnsw.loc[("1,000,000", "compatible, one index")][["index, core hours", "storage meanwhile"]].tolist() == [
        "0.556", "750 MB",
    ]  # fmt: skip
    assert live_upgrade_costs.embedding_text("smoke") == "1,000 images per second are embedded in batches (cpu: test)"


def test_sizes_are_written_with_three_digits():
    assert [live_upgrade_costs.size(n) for n in (999, 1.234e6, 5.5e9, 1.2e13)] == [
        "0.999 kB",
        "1.23 MB",
        "5.5 GB",
        "12 TB",
    ]
