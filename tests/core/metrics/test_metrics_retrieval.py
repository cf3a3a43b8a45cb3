"""Mean average precision and CMC against hand checks, scikit-learn and pytorch-metric-learning."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import average_precision_score

from bctlib.metrics import cmc, mean_average_precision
from bctlib.metrics.retrieval import rank_gallery, ranks_from_scores


def test_by_hand():
    ranks = [[1, 3, 6]]  # relevance 1 0 1 0 0 1
    assert mean_average_precision(ranks) == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)
    assert mean_average_precision(ranks) == pytest.approx(0.7222, abs=5e-5)
    assert mean_average_precision(ranks, interpolation="trapezoid") == pytest.approx(0.6778, abs=5e-5)
    assert cmc([[1, 3], [2], [], [6]], [1, 2, 5, 6]).tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])
    assert cmc([[4]], 5) == 1.0


def test_a_tie_counts_against_the_match():
    ranks = ranks_from_scores(np.array([[0.5, 0.5, 0.1]]), np.array([[True, False, False]]))
    assert ranks.ranks.tolist() == [2]


def test_official_market_rule_step_by_step():
    """`trapezoid` is the old evaluation code's sum over the whole ranking."""
    relevance = np.random.default_rng(0).random((20, 30)) < 0.2
    relevance[:, 3] = True
    expected = []
    for row in relevance:
        area, recall, precision, hits = 0.0, 0.0, 1.0, 0
        for place, positive in enumerate(row):
            hits += positive
            area += (hits / row.sum() - recall) * (precision + hits / (place + 1)) / 2
            recall, precision = hits / row.sum(), hits / (place + 1)
        expected.append(area)
    ranks = [np.flatnonzero(row) + 1 for row in relevance]
    assert mean_average_precision(ranks, "trapezoid") == pytest.approx(np.mean(expected), abs=1e-12)
    assert mean_average_precision(ranks, "trapezoid") < mean_average_precision(ranks)


def reid(rng, n_query=25, n_gallery=120, d=8):
    """A small Market-1501: junk (-1), distractors (0), six cameras."""
    query_identity = rng.integers(1, 12, n_query)
    gallery_identity = np.r_[np.full(15, -1), np.zeros(15, int), rng.integers(1, 12, n_gallery - 30)]
    centre = rng.standard_normal((13, d))
    query = centre[query_identity] + 0.8 * rng.standard_normal((n_query, d))
    gallery = centre[gallery_identity] + 0.8 * rng.standard_normal((n_gallery, d))
    return query, query_identity, gallery, gallery_identity, rng.integers(1, 7, n_query), rng.integers(1, 7, n_gallery)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_reid_equals_average_precision_query_by_query(seed):
    query, query_identity, gallery, gallery_identity, query_camera, gallery_camera = reid(np.random.default_rng(seed))
    ranks = rank_gallery(query, query_identity, gallery, gallery_identity, query_camera, gallery_camera)
    q = query / np.linalg.norm(query, axis=1, keepdims=True)
    g = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    precisions, firsts = [], []
    for i in range(len(q)):
        same = gallery_identity == query_identity[i]
        valid = (gallery_identity != -1) & ~(same & (gallery_camera == query_camera[i]))
        if (same & valid).any():
            precisions.append(average_precision_score(same[valid], (g @ q[i])[valid]))
            firsts.append(np.flatnonzero(same[valid][np.argsort(-(g @ q[i])[valid])])[0] + 1)
    assert mean_average_precision(ranks) == pytest.approx(np.mean(precisions), abs=1e-6)
    ks = [1, 2, 5, 10]
    assert cmc(ranks, ks).tolist() == pytest.approx([np.mean(np.array(firsts) <= k) for k in ks])


def test_without_cameras_equals_pytorch_metric_learning():
    query, query_identity, gallery, gallery_identity, *_ = reid(np.random.default_rng(1))
    gallery_identity = np.where(gallery_identity < 0, 0, gallery_identity)
    ranks = rank_gallery(query, query_identity, gallery, gallery_identity)

    def normal(x):
        return torch.nn.functional.normalize(torch.tensor(x, dtype=torch.float32))

    def nearest(queries, k, references, *_):
        return torch.cdist(queries, references).topk(k, largest=False)

    calculator = AccuracyCalculator(
        include=("mean_average_precision", "precision_at_1"), k=len(gallery), knn_func=nearest,
        device=torch.device("cpu"),
    )  # fmt: skip
    theirs = calculator.get_accuracy(
        normal(query), torch.tensor(query_identity), normal(gallery), torch.tensor(gallery_identity)
    )
    assert mean_average_precision(ranks) == pytest.approx(theirs["mean_average_precision"], abs=1e-6)
    assert cmc(ranks, 1) == pytest.approx(theirs["precision_at_1"], abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ties_put_every_positive_behind_its_equals(seed):
    rng = np.random.default_rng(seed)
    scores, relevant = rng.integers(0, 4, (6, 15)) / 4, rng.random((6, 15)) < 0.3
    relevant[0, 0] = True
    ranks = ranks_from_scores(scores, relevant)
    for i in range(6):
        # The pessimistic order: by falling score, negatives before positives.
        order = np.lexsort((relevant[i], -scores[i]))
        expected = np.flatnonzero(relevant[i][order]) + 1
        assert ranks.ranks[ranks.starts[i] : ranks.starts[i + 1]].tolist() == expected.tolist()


def test_order_rotation_and_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    query, query_identity, gallery, gallery_identity, query_camera, gallery_camera = reid(rng)
    base = rank_gallery(query, query_identity, gallery, gallery_identity, query_camera, gallery_camera)
    rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    order = rng.permutation(len(gallery))
    monkeypatch.setattr("bctlib.metrics.blocks.BLOCK_ELEMENTS", 200)
    other = rank_gallery(
        5 * query @ rotation, query_identity, (gallery @ rotation)[order], gallery_identity[order], query_camera,
        gallery_camera[order],
    )  # fmt: skip
    assert other.ranks.tolist() == base.ranks.tolist() and other.starts.tolist() == base.starts.tolist()


def test_perfect_and_random_models():
    rng = np.random.default_rng(3)
    perfect = rank_gallery(np.eye(5), range(5), np.eye(5), range(5))
    assert mean_average_precision(perfect) == 1.0 and cmc(perfect, 1) == 1.0
    identity = np.repeat(np.arange(10), 100)
    chance = rank_gallery(rng.standard_normal((500, 16)), np.repeat(np.arange(10), 50), rng.standard_normal((1000, 16)),
                          identity)  # fmt: skip
    assert mean_average_precision(chance) == pytest.approx(0.1, abs=0.02)


def test_string_labels_and_bad_input():
    eye = np.eye(3)
    assert rank_gallery(eye, ["a", "b", "c"], eye, ["a", "b", "c"]).ranks.tolist() == [1, 1, 1]
    for call, word in [
        (lambda: rank_gallery(eye, [0, 1, 2], eye * np.nan, [0, 1, 2]), "gallery: row"),
        (lambda: rank_gallery(eye, [0, 1, 2], eye, [0, 1, 2], query_camera=[1, 2, 3]), "gallery_camera"),
        (lambda: rank_gallery(eye, [0, 1], eye, [0, 1, 2]), "query_identity"),
        (lambda: mean_average_precision([[]]), "ranks"), (lambda: mean_average_precision([[0, 1]]), "ranks"),
        (lambda: mean_average_precision([[1]], "linear"), "interpolation"), (lambda: cmc([[1]], 0), "k:"),
        (lambda: ranks_from_scores(np.ones((2, 2)), np.ones((2, 3))), "relevant"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=word):
            call()
