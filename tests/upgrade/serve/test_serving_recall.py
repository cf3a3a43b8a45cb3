"""How many hits a search gives and how many of the best are among them, at any k; which numbers an item may have."""

import numpy as np
import pytest

from bctlib.base.errors import BctError
from bctlib.upgrade.serve.kinds import KINDS
from bctlib.upgrade.serve.latency import recall
from bctlib.upgrade.serve.live_index import LiveIndex

DIM, N = 32, 3000
rng = np.random.default_rng(0)
CENTRES = rng.normal(size=(150, DIM))
QUERIES = (CENTRES[rng.integers(0, 150, 40)] + 0.6 * rng.normal(size=(40, DIM))).astype(np.float32)
every_kind = pytest.mark.parametrize("kind", KINDS)


def vectors(n: int) -> np.ndarray:
    return (CENTRES[rng.integers(0, 150, n)] + 0.6 * rng.normal(size=(n, DIM))).astype(np.float32)


def index_of(kind: str, gallery: np.ndarray) -> LiveIndex:
    index = LiveIndex(DIM, kind)
    index.add(np.arange(len(gallery)), np.zeros(len(gallery), int), gallery, "m")
    return index


@pytest.fixture(scope="module")
def indexes():
    gallery = vectors(N)
    return {kind: index_of(kind, gallery) for kind in KINDS}


@every_kind
@pytest.mark.parametrize("k", [1, 10, 64, 100, 500, 1000, N, N + 5])
def test_recall_holds_at_every_k_and_no_hit_is_missing(indexes, kind, k):
    found, exact = (indexes[each].search(QUERIES, "m", k).items for each in (kind, "flat"))
    assert ((found >= 0).sum(axis=1) == min(k, N)).all()
    assert recall(found, exact)[1] > {"flat": 0.9999, "hnsw": 0.98, "ivf": 0.85}[kind]


@every_kind
def test_a_search_of_one_models_few_vectors_gives_all_of_them(kind):
    index = index_of(kind, vectors(600))
    index.declare("new", "m")
    few = np.array([3, 77, 400, 599])
    index.replace(few, vectors(4), "new")
    hits = index.search(QUERIES, "new", k=5, made_by="new")
    assert (np.sort(hits.items[:, :4]) == few).all() and (hits.items[:, 4] == -1).all()


def test_a_graph_cut_off_by_equal_vectors_still_gives_as_many_hits_as_there_are():
    """Hundreds of equal vectors link to each other alone: what the graph does not lead to is compared one by one."""
    gallery = vectors(1000)
    gallery[rng.permutation(1000)[:300]] = gallery[0]
    found = index_of("hnsw", gallery).search(QUERIES, "m", 1000).items
    assert (np.sort(found) == np.arange(1000)).all()


IMPOSSIBLE = {
    "-1": ([1, -1], "got -1 at position 1"),
    "negative": (np.array([-7, 2], np.int8), "got -7 at position 0"),
    "64 bits": (np.array([5, 2**63 + 5], np.uint64), "got 9223372036854775813 at position 1"),
    "more bits": ([5, 2**64 + 5], "got 18446744073709551621 at position 1"),
    "a name among large numbers": (np.array([2**70, "a"], object)[::-1], "got 'a' at position 0"),
    "floats": ([1.0, 2.0], r"got float64 \[2\]"),
    "truth": ([True, False], r"got bool \[2\]"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
@pytest.mark.parametrize("name", ["items", "classes"])
def test_numbers_that_an_index_cannot_keep_are_refused_where_they_are_added(name, what):
    index = index_of("flat", vectors(3))
    numbers, says = IMPOSSIBLE[what]
    given = {"items": [10, 11], "classes": [0, 0]} | {name: numbers}
    with pytest.raises(BctError, match=f"^{name}: expected .*whole number.*{says}") as caught:
        index.add(vectors=vectors(2), model="m", **given)
    assert "\n" not in str(caught.value) and len(index) == 3
    if name == "items":
        with pytest.raises(BctError, match=says):
            index.replace(numbers, vectors(2), "m")


def test_the_largest_item_comes_back_as_it_went_in():
    index = index_of("hnsw", vectors(3))
    index.add([2**63 - 1], [2**63 - 1], vectors(1), "m")
    hits = index.search(index.contents()["vectors"][-1:], "m")
    assert hits.items.tolist() == hits.classes.tolist() == [[2**63 - 1]]
