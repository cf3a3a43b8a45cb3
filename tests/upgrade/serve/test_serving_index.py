"""The live index: what it finds is what brute force finds, models never mix unasked, and a file gives it all back."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bctlib.base.errors import BctError
from bctlib.base.files import marker
from bctlib.metrics.blocks import prefix, unit_rows
from bctlib.upgrade.serve.kinds import KINDS, cells
from bctlib.upgrade.serve.live_index import LiveIndex

DIM, WIDE, N = 16, 24, 240
rng = np.random.default_rng(0)
OLD, NEW = rng.normal(size=(N, DIM)).astype(np.float32), rng.normal(size=(N, WIDE)).astype(np.float32)
QUERIES = rng.normal(size=(30, WIDE)).astype(np.float32)
ITEMS, CLASSES = 1000 + 7 * np.arange(N), np.arange(N) // 4
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def day_0():
    return {kind: filled(kind) for kind in KINDS}


def filled(kind: str, **options) -> LiveIndex:
    index = LiveIndex(DIM, kind, {"new": "old"}, **options)
    index.add(ITEMS, CLASSES, OLD, "old")
    return index


def brute_force(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cosines of the k best of unit vectors for QUERIES, by a full sort."""
    scores = prefix(QUERIES, DIM) @ vectors.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@every_kind
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_search_over_mixed_versions_is_brute_force_over_the_vectors_in_force(day_0, kind, share):
    index, replaced = day_0[kind], rng.permutation(N)[: round(share * N)]
    for some in np.array_split(replaced, 5):
        index.replace(ITEMS[some], NEW[some], "new")
    in_force = unit_rows(OLD)
    in_force[replaced] = prefix(NEW[replaced], DIM)
    order, scores = brute_force(in_force, 5)
    hits = index.search(QUERIES, "new", k=5)
    # IVF looks into 16 of its 6 cells, and the graph of 240 nodes is walked with 64 candidates: both are exact here,
    # but for what tombstones may hide from the graph.
    found = np.mean([len(set(a) & set(b)) for a, b in zip(hits.items, ITEMS[order], strict=True)]) / 5
    assert found == 1 if kind != "hnsw" else found > 0.97
    right = hits.items == ITEMS[order]
    assert np.allclose(hits.scores[right], scores[right], atol=1e-6)
    assert np.array_equal(hits.classes, CLASSES[(hits.items - 1000) // 7])
    assert np.array_equal(hits.made_by == "new", np.isin(hits.items, ITEMS[replaced]))
    assert index.models.get("new", 0) == len(replaced) and len(index) == N


@every_kind
def test_a_replaced_vector_is_found_under_the_new_model_only(day_0, kind):
    index = day_0[kind]
    assert index.search(OLD[8:12], "old").items[:, 0].tolist() == ITEMS[8:12].tolist()
    assert index.items_of(2).tolist() == ITEMS[8:12].tolist()
    index.replace(ITEMS[8:12], NEW[8:12], "new")
    again = index.search(NEW[8:12], "new")
    assert again.items[:, 0].tolist() == ITEMS[8:12].tolist() and set(again.made_by[:, 0]) == {"new"}
    assert np.allclose(again.scores, 1, atol=1e-6)
    assert index.search(OLD[8:12], "old").scores.max() < 0.999  # the old vectors are gone
    assert not set(index.search(OLD[8:12], "old", k=50, made_by="old").items.ravel()) & set(ITEMS[8:12])
    only_new = index.search(QUERIES, "new", k=6, made_by="new")
    assert set(only_new.items[:, :4].ravel()) == set(ITEMS[8:12])
    assert (only_new.items[:, 4:] == -1).all() and np.isneginf(only_new.scores[:, 4:]).all()
    assert set(only_new.made_by[:, 4:].ravel()) == {""}


REFUSED = {
    "mixing": (
        lambda i: i.add([1], [1], NEW[:1], "other"),
        "vectors of model 'other' cannot be mixed with the 240 of 'old' in this index: no compatibility of the two was "
        "declared; declare {'other': 'old'} if it was trained for and measured, else give 'other' an index of its own",
    ),
    "mixing by replacing": (lambda i: i.replace(ITEMS[:1], NEW[:1], "other"), "with the 239 of 'old' in this index"),
    "searching": (
        lambda i: i.search(QUERIES, "other"),
        "queries of model 'other' cannot be compared with the 240 vectors of 'old' in this index: no compatibility of "
        "the two was declared; search with 'old' or a model that was declared compatible with it",
    ),
    "no model": (lambda i: i.search(QUERIES, ""), "the id of a model is ''"),
    "short queries": (lambda i: i.search(QUERIES[:, :9], "new"), "queries have 9 elements, expected at least .* 16"),
    "short vectors": (lambda i: i.add([1], [1], OLD[:1, :9], "old"), "vectors have 9 elements, expected at least"),
    "NaN": (lambda i: i.replace(ITEMS[:2], [[np.nan] * DIM] * 2, "new"), "vectors: row 0 holds NaN"),
    "an item twice": (lambda i: i.add([5, 5], [1, 1], OLD[:2], "old"), "item 5 is given twice"),
    "a known item": (lambda i: i.add(ITEMS[:1], [1], OLD[:1], "old"), "item 1000 is in the index already"),
    "an unknown item": (lambda i: i.replace([3], OLD[:1], "old"), "item 3 is not in the index"),
    "names as items": (lambda i: i.add(["a"], [1], OLD[:1], "old"), "items: expected one whole number"),
    "too few classes": (lambda i: i.add([1, 2], [1], OLD[:2], "old"), "classes: expected 2 whole numbers"),
    "one vector for two": (lambda i: i.add([1, 2], [1, 1], OLD[:1], "old"), r"vectors: expected .* shape \[2, 16\]"),
    "k": (lambda i: i.search(QUERIES, "new", k=0), "k is 0"),
    "a filter for nobody": (lambda i: i.search(QUERIES, "new", made_by="x"), "no vector in this index is by 'x', only"),
}


@every_kind
@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_one_sentence_and_leaves_the_index_as_it_was(day_0, kind, what):
    work, sentence = REFUSED[what]
    before = day_0[kind].contents()
    with pytest.raises(BctError, match=sentence) as caught:
        work(day_0[kind])
    assert "\n" not in str(caught.value)
    assert_same(before, day_0[kind].contents())


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert np.array_equal(one[name], other[name]), name


@pytest.mark.parametrize(("dim", "kind", "says"), [(0, "flat", "index is 0"), (4, "tree", "flat, ivf, hnsw")])
def test_an_impossible_index_is_refused(dim, kind, says):
    with pytest.raises(BctError, match=says):
        LiveIndex(dim, kind)


def test_compatibility_leads_to_no_third_model_and_holds_both_ways():
    index = LiveIndex(DIM, compatible={"second": "first", "third": ["second"]})
    index.add(ITEMS, CLASSES, OLD, "first")
    index.search(QUERIES, "second")
    with pytest.raises(BctError, match="'third'"):
        index.search(QUERIES, "third")
    index.replace(ITEMS, OLD, "second")
    index.search(QUERIES, "third"), index.search(QUERIES, "first")
    with pytest.raises(BctError, match="compatible with itself"):
        index.declare("first", "first")


@every_kind
def test_an_incompatible_model_may_take_over_in_one_call(day_0, kind):
    day_0[kind].replace(ITEMS, NEW, "other")
    assert day_0[kind].models == {"other": N}
    with pytest.raises(BctError, match="240 vectors of 'other'"):
        day_0[kind].search(QUERIES, "old")


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(12)), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_the_order_of_backfill_never_changes_the_final_state_of_a_flat_index(order, sizes):
    straight, other = filled("flat"), filled("flat")
    straight.replace(ITEMS[:48], NEW[:48], "new")
    while order:
        classes, order = order[: sizes[0]], order[sizes[0] :]
        sizes = [*sizes[1:], sizes[0]]
        items = np.concatenate([other.items_of(each) for each in classes])
        other.replace(items, NEW[(items - 1000) // 7], "new")
    assert_same(straight.contents(), other.contents())
    one, two = (index.search(QUERIES, "new", k=20) for index in (straight, other))
    assert np.array_equal(one.items, two.items) and np.array_equal(one.scores, two.scores)


def test_tombstones_are_counted_and_rebuilt_away():
    index = filled("hnsw", rebuild_at=0.25)  # at more than a third as many tombstones as items
    clean = index.nbytes
    index.replace(ITEMS[:80], NEW[:80], "new")
    assert (index.tombstones, index.rebuilds, index.inserted) == (80, 0, N + 80)
    assert index.nbytes > clean
    index.replace(ITEMS[:1], NEW[:1], "new")
    assert (index.tombstones, index.rebuilds, index.inserted) == (0, 1, N + 81 + N)
    index.replace(ITEMS[200:], NEW[200:], "new")
    state = index.contents()
    index.rebuild()
    assert_same(state, index.contents())
    assert index.rebuilds == 2 and index.tombstones == 0
    for kind in ("flat", "ivf"):
        able = filled(kind)
        able.replace(ITEMS, NEW, "new")
        assert able.tombstones == 0 and able.rebuilds == 0 and able.inserted == 2 * N


def test_cells_of_an_ivf_index_by_hand():
    assert [cells(n) for n in (1, 38, 390, 10_000, 10**6)] == [1, 1, 10, 256, 4000]
    index = LiveIndex(DIM, "ivf")
    index.add([1], [1], OLD[:1], "old")
    index.add([2], [1], OLD[1:2], "old")
    assert index.search(OLD[1:2], "old").items.tolist() == [[2]]


@every_kind
def test_a_saved_index_comes_back_equal_and_goes_on(day_0, kind, tmp_path):
    index, path = day_0[kind], tmp_path / "gallery.index"
    index.replace(ITEMS[:30], NEW[:30], "new")
    index.save(path)
    loaded = LiveIndex.load(path)
    assert_same(index.contents(), loaded.contents())
    for name in ("dim", "kind", "models", "tombstones", "rebuilds", "inserted", "rebuild_at", "nbytes"):
        assert getattr(index, name) == getattr(loaded, name), name
    assert index.comparable.pairs == loaded.comparable.pairs == [["new", "old"]]
    for each in (index, loaded):
        each.replace(ITEMS[30:150], NEW[30:150], "new")
        each.add([1], [99], NEW[:1], "new")
    one, two = (each.search(QUERIES, "new", k=8) for each in (index, loaded))
    assert np.array_equal(one.items, two.items) and np.array_equal(one.scores, two.scores)
    with pytest.raises(BctError, match="cannot be mixed"):
        loaded.add([2], [1], NEW[:1], "other")


def test_an_empty_index_finds_nothing_and_can_be_saved(tmp_path):
    index = LiveIndex(DIM, "hnsw")
    LiveIndex(DIM, "hnsw").save(tmp_path / "empty")
    for each in (index, LiveIndex.load(tmp_path / "empty")):
        hits = each.search(QUERIES, "anyone", k=2)
        assert hits.items.shape == (30, 2) and (hits.items == -1).all() and each.contents()["vectors"].shape == (0, DIM)
    each.rebuild()
    assert len(index) == 0 and index.nbytes == 0


def test_a_file_that_is_no_whole_index_is_refused_in_a_sentence(day_0, tmp_path):
    path = tmp_path / "gallery.index"
    with pytest.raises(BctError, match="gallery.index is not there, expected a saved index"):
        LiveIndex.load(path)
    day_0["ivf"].save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes(100))
    with pytest.raises(BctError, match="gallery.index is damaged"):
        LiveIndex.load(path)
    path.write_bytes(whole[:1000])
    with pytest.raises(BctError, match="gallery.index is damaged"):
        LiveIndex.load(path)
    marker(path).unlink()
    with pytest.raises(BctError, match="unfinished"):
        LiveIndex.load(path)


def test_a_sealed_file_of_another_sort_is_refused(tmp_path):
    from bctlib.base.files import seal

    seal(tmp_path / "text", lambda path: path.write_text("hello"))
    with pytest.raises(BctError, match="text is not an index of this version"):
        LiveIndex.load(tmp_path / "text")


def test_an_interrupted_save_leaves_the_saved_index_or_none(day_0, tmp_path, monkeypatch):
    path = tmp_path / "gallery.index"
    day_0["flat"].save(path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(BctError, match="cannot write .*gallery.index: No space left"):
        day_0["hnsw"].save(path)
    assert path.exists() and not marker(path).exists()  # the old content, marked as not to be trusted
    assert [each.name for each in tmp_path.iterdir()] == ["gallery.index"]


@every_kind
def test_an_index_is_searched_as_before_once_faiss_has_learned_of_torch(day_0, kind):
    before = day_0[kind].search(QUERIES, "new", k=5)
    importlib.import_module("faiss.contrib.torch_utils")  # as pytorch-metric-learning does
    after = day_0[kind].search(QUERIES, "new", k=5)
    assert np.array_equal(before.items, after.items)


@every_kind
@pytest.mark.parametrize("number", [np.int64, np.int32, np.uint8])
def test_k_may_be_a_whole_number_of_numpy(day_0, kind, number):
    assert np.array_equal(
        day_0[kind].search(QUERIES, "new", number(5)).items, day_0[kind].search(QUERIES, "new", 5).items
    )


@pytest.mark.parametrize("k", [0, -1, True, 2.0, "3", None, np.int64(0)])
def test_another_k_is_refused(day_0, k):
    with pytest.raises(BctError, match="^k is .*, expected a whole number of 1 or more$"):
        day_0["flat"].search(QUERIES, "new", k)


def test_what_numpy_cannot_convert_is_refused_in_a_sentence(day_0):
    index = day_0["flat"]
    for vectors in ([[1.0] * DIM, [1.0]], torch.ones(2, DIM, requires_grad=True), torch.ones(2, DIM).bfloat16()):
        with pytest.raises(BctError, match="^queries: expected what NumPy can make an array of, got (list|Tensor): "):
            index.search(vectors, "new")
    with pytest.raises(BctError, match="^items: expected what NumPy can make an array of, got list: "):
        index.add([[1], 2], [0, 0], OLD[:2], "old")


def test_numbers_that_float32_cannot_hold_are_refused_without_a_warning(day_0):
    with pytest.raises(BctError, match="^queries: row 0 holds NaN, infinite or overflowing values$"):
        day_0["flat"].search(np.full((1, DIM), 1e300), "new")
