"""A live index that an incompatible model searches through a map."""

import numpy as np
import pytest

from bctlib.base.errors import BctError
from bctlib.upgrade.align import fit
from bctlib.upgrade.serve.live_index import LiveIndex

RNG = np.random.default_rng(0)
OLD = RNG.normal(size=(60, 6)).astype(np.float32)
NEW = np.concatenate([OLD, np.zeros((60, 2), np.float32)], 1) @ np.linalg.qr(RNG.normal(size=(8, 8)))[0]
MADE = fit(NEW, OLD, "orthogonal", new_id="new", old_id="old")


def index_of_old():
    index = LiveIndex(6)
    index.add(np.arange(60), np.arange(60), OLD, "old")
    return index


def test_queries_search_the_old_vectors_through_the_map():
    index = index_of_old()
    with pytest.raises(BctError, match="cannot be compared"):
        index.search(NEW, "new")
    index.declare("new", "old", map=MADE)
    found = index.search(NEW, "new", k=3)
    expected = index.search(MADE.apply(NEW, "new", "old"), "old", k=3)
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.items[:, 0], np.arange(60))  # a rotation undoes the rotation
    np.testing.assert_array_equal(index.search(OLD, "old").items[:, 0], np.arange(60))


def test_a_map_allows_no_mixture_and_searches_one_model_of_an_index_kept_apart():
    index = index_of_old()
    index.declare("new", "old", map=MADE)
    with pytest.raises(BctError, match="cannot be mixed"):
        index.replace(np.arange(5), NEW[:5, :6], "new")
    index.keep_apart("new", "old")
    index.replace(np.arange(5), NEW[:5, :6], "new")
    with pytest.raises(BctError, match="cannot be compared"):
        index.search(NEW, "new")
    np.testing.assert_array_equal(index.search(NEW[5:], "new", made_by="old").items[:, 0], np.arange(5, 60))


@pytest.mark.parametrize(
    ("models", "said"), [(("old", "new"), "and not back"), (("v3", "old"), "cannot be mapped"), (("new", "v0"), "v0")]
)
def test_a_map_of_another_direction_or_of_other_models_is_refused(models, said):
    index = index_of_old()
    with pytest.raises(BctError, match=said):
        index.declare(*models, map=MADE)
    with pytest.raises(BctError, match="cannot be compared"):
        index.search(NEW, "new")


def test_a_midpoint_and_a_narrower_space_are_refused():
    with pytest.raises(BctError, match="midpoint"):
        index_of_old().declare("new", "old", map=fit(NEW, OLD, "midpoint", of="orthogonal", new_id="new", old_id="old"))
    with pytest.raises(BctError, match="6 dimensions, expected at least the index's 8"):
        LiveIndex(8).declare("new", "old", map=MADE)
