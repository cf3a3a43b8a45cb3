"""Two incompatible models in one index: merged by calibrated scores, by loops; and what is refused."""

import numpy as np
import pytest

from bctlib.base.errors import BctError
from bctlib.metrics.merging import Calibration
from bctlib.upgrade.serve.live_index import LiveIndex
from bctlib.upgrade.serve.merging import merged_search

RNG = np.random.default_rng(0)
D, N = 8, 40
OLD, NEW = RNG.normal(size=(2, N, D)).astype(np.float32)
QUERIES = {"old": RNG.normal(size=(15, D)), "new": RNG.normal(size=(15, D))}
LEVELS = {"old": Calibration.of(RNG.normal(size=500) / 4), "new": Calibration.of(RNG.normal(size=500) / 3 + 0.1)}
ITEMS = np.arange(N)


def half_done(kind: str = "flat") -> LiveIndex:
    index = LiveIndex(D, kind)
    index.add(ITEMS, ITEMS // 2, OLD, "old")
    index.keep_apart("new", "old")
    index.replace(ITEMS[:16], NEW[:16], "new")
    return index


def cosines(one, other):
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other))
    return one @ other.T


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_hits_are_the_best_levels_of_either_part(kind):
    hits = merged_search(half_done(kind), QUERIES, LEVELS, k=3)
    merged = np.hstack(
        [LEVELS["new"](cosines(QUERIES["new"], NEW[:16])), LEVELS["old"](cosines(QUERIES["old"], OLD[16:]))]
    )
    best = np.argsort(-merged, axis=1)[:, :3]
    np.testing.assert_array_equal(hits.items, best)
    np.testing.assert_array_equal(hits.classes, best // 2)
    np.testing.assert_array_equal(hits.made_by, np.where(best < 16, "new", "old"))
    np.testing.assert_allclose(hits.scores, np.take_along_axis(merged, best, 1), rtol=1e-4, atol=1e-4)


def test_the_ends_are_one_model_alone():
    index = half_done()
    index.replace(ITEMS[16:], NEW[16:], "new")
    assert index.models == {"new": N}
    np.testing.assert_array_equal(
        merged_search(index, QUERIES, LEVELS, k=2).items, index.search(QUERIES["new"], "new", 2).items
    )


def test_models_kept_apart_are_mixed_and_never_compared():
    index = half_done()
    for model in ("new", "old"):
        with pytest.raises(BctError, match="cannot be compared"):
            index.search(QUERIES[model], model)
    with pytest.raises(BctError, match="cannot be mixed"):
        index.replace(ITEMS[:1], NEW[:1], "third")
    with pytest.raises(BctError, match="kept apart from itself"):
        index.keep_apart("new", "new")


@pytest.mark.parametrize(
    ("queries", "levels", "said"),
    [
        ({"new": QUERIES["new"]}, LEVELS, "vectors of 'old', expected queries of that model too"),
        (QUERIES, {"new": LEVELS["new"]}, "vectors of 'old', expected a calibration of that model too"),
        (QUERIES | {"old": QUERIES["old"][:3]}, LEVELS, "the same queries by every model"),
    ],
)
def test_what_is_missing_is_named(queries, levels, said):
    with pytest.raises(BctError, match=said):
        merged_search(half_done(), queries, levels)
    with pytest.raises(BctError, match="index is empty"):
        merged_search(LiveIndex(D), QUERIES, LEVELS)
