"""Galleries in tiles: no tile size changes a result, and memory does not follow the gallery."""

import numpy as np
import pytest

from bctlib.metrics import backfill, blocks, retrieval
from bctlib.metrics.blocks import Sorted, tile_edges, tiled_scores
from bctlib.metrics.identification import search
from bctlib.metrics.retrieval import rank_gallery


def data(seed=0, n_query=60, n=150, identities=25):
    """Many ties that are exact in any order of summation: 16 elements of +1 or -1, so that every norm is 4."""
    rng = np.random.default_rng(seed)
    centre = rng.choice([-1, 1], (identities + 5, 16))
    query_id, gallery_id = rng.integers(0, identities + 5, n_query), rng.integers(0, identities, n)
    features = [centre[each] * rng.choice([-1, 1, 1, 1], (len(each), 16)) for each in (query_id, gallery_id)]
    return features[0].astype(np.float32), query_id, features[1].astype(np.float32), gallery_id, rng


@pytest.mark.parametrize("block", [4, 64, 1 << 10])
def test_rankings_do_not_depend_on_tiles(monkeypatch, block):
    query, query_id, gallery, gallery_id, rng = data()
    gallery_id[:10] = -1
    cameras = rng.integers(0, 3, len(query)), rng.integers(0, 3, len(gallery))
    whole = rank_gallery(query, query_id, gallery, gallery_id, *cameras)
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    tiled = rank_gallery(query, query_id, gallery, gallery_id, *cameras)
    assert np.array_equal(whole.ranks, tiled.ranks) and np.array_equal(whole.starts, tiled.starts)


@pytest.mark.parametrize("block", [4, 64, 1 << 10])
def test_backfill_does_not_depend_on_tiles(monkeypatch, block):
    query, query_id, gallery, gallery_id, rng = data(1)
    old = gallery[:, :4] * rng.choice([-1, 1, 1], (len(gallery), 4))
    whole = backfill.backfill_searches(query, query_id, old, gallery, gallery_id, points=11)
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    tiled = backfill.backfill_searches(query, query_id, old, gallery, gallery_id, points=11)
    assert all(np.array_equal(first, second) for first, second in zip(whole, tiled, strict=True))


def test_an_empty_gallery_after_junk_ranks_nothing():
    query, query_id, gallery, _, _ = data()
    found = rank_gallery(query, query_id, gallery, np.full(len(gallery), -1))
    assert len(found.ranks) == 0 and len(found.starts) == len(query) + 1


@pytest.mark.parametrize("n_positive", [1, 5, 60, 200])
@pytest.mark.parametrize("n_negative", [0, 3, 5000])
def test_counting_equals_sorting(n_positive, n_negative):
    rng = np.random.default_rng(n_positive + n_negative)
    positives = np.sort(rng.integers(-5, 5, n_positive)).astype(np.float32)
    negatives = np.r_[rng.integers(-5, 5, n_negative), np.full(3, -np.inf)].astype(np.float32)
    expected = (negatives[None, :] >= positives[:, None]).sum(axis=1)
    assert np.array_equal(retrieval._count_ahead(positives, negatives), expected)


def test_tiles_cover_the_gallery_and_split_no_identity(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 64)
    codes = np.sort(np.random.default_rng(2).integers(0, 12, 100))
    edges = tile_edges(codes, 4)
    assert edges[0] == 0 and edges[-1] == 100 and len(edges) > 4
    assert all(codes[edge - 1] != codes[edge] for edge in edges[1:-1])


@pytest.mark.parametrize("block", [64, 1 << 20])
def test_every_probe_is_home_once_and_counted_against_everything(monkeypatch, block):
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    query, query_id, gallery, gallery_id, _ = data()
    order = np.argsort(gallery_id, kind="stable")
    codes = gallery_id[order]
    low, high = np.searchsorted(codes, query_id, "left"), np.searchsorted(codes, query_id, "right")
    at_home, counted, own = np.zeros(60, int), np.zeros(60, int), np.zeros(60, int)
    for part in tiled_scores(query, "query", gallery, "gallery", Sorted(order, codes, low, high)):
        if part.is_home:
            assert not counted[part.rows].any()
            assert (part.own_high - part.own_low == (high - low)[part.rows]).all()
            at_home[part.rows] += 1
        else:
            counted[part.rows] += part.scores.shape[1]
            own[part.rows] += part.own_high - part.own_low
    assert (at_home[high > low] == 1).all() and (counted == 150).all() and (own == high - low).all()


def test_memory_does_not_follow_the_gallery(monkeypatch):
    """Beside the inputs, only a few integers a gallery row may be held, far less than its 256 dimensions."""
    tracemalloc = pytest.importorskip("tracemalloc")
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 1 << 14)
    rng = np.random.default_rng(3)
    gallery, query = rng.standard_normal((20_000, 256), dtype=np.float32), rng.standard_normal((20, 256))
    identity, wanted = np.arange(20_000), np.arange(20) * 1100
    for work in (
        lambda: search(query, wanted, gallery, identity),
        lambda: rank_gallery(query, wanted, gallery, identity),
        lambda: backfill.backfill_searches(query, wanted, gallery, gallery, identity),
    ):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < gallery.nbytes / 4
