"""TAR@FAR against hand-made cases, scikit-learn's full ROC with a strict search, and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from bctlib.metrics import blocks, tar_at_far
from bctlib.metrics.verification import allowed, pair_scores, verification_points, verification_scores

FARS = [0, 1e-3, 1e-2, 0.05, 0.1, 0.5, 1.0]


def strict_by_roc(genuine, impostor, far):
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    fpr, tpr, _ = roc_curve(labels, np.r_[genuine, impostor].astype(np.float64), drop_intermediate=False)
    return tpr[fpr <= far].max()


def test_by_hand():
    genuine, impostor = [0.9, 0.6, 0.5, 0.2], [0.8, 0.5, 0.4, 0.1]
    assert tar_at_far(genuine, impostor, 0.0) == 1 / 4
    # One of four may pass: the threshold is the second impostor, 0.5, and the genuine 0.5 tied with it is refused.
    assert tar_at_far(genuine, impostor, 0.25) == 2 / 4
    assert tar_at_far(genuine, impostor, 0.49) == 2 / 4
    assert tar_at_far(genuine, impostor, 0.5) == 3 / 4
    assert tar_at_far(genuine, impostor, 1.0) == 1.0
    point = verification_points(genuine, impostor, 0.3)[0]
    assert (point.threshold, point.attained, point.n_false, point.n_negatives) == (0.5, 0.25, 1, 4)
    assert tar_at_far(genuine, impostor, [0.0, 0.5]).tolist() == [0.25, 0.75]


def test_tied_impostors_pass_together_or_not_at_all():
    point = verification_points([0.9, 0.7, 0.6], [0.7, 0.7, 0.7, 0.1], 0.5)[0]
    assert (point.n_false, point.attained, point.value) == (0, 0.0, 1 / 3)


def test_nearest_rule_may_exceed_the_target():
    # 15.64 of 15,638,932 impostors: strict accepts 15, nearest 16.
    n = 15_638_932
    impostor = np.linspace(1.0, 0.5, 100)
    genuine = np.array([1.1, impostor[15], impostor[14]])
    strict = verification_points(genuine, impostor, 1e-6, n_impostors=n)[0]
    nearest = verification_points(genuine, impostor, 1e-6, n_impostors=n, rule="nearest")[0]
    assert (strict.n_false, nearest.n_false) == (15, 16)
    assert strict.value == 2 / 3 and nearest.value == 1.0
    assert strict.attained <= 1e-6 < nearest.attained


@pytest.mark.parametrize("n", [10, 100, 1000, 10_000, 27_019_200])
def test_allowed_agrees_with_division(n):
    for target in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 0.7, 1.0):
        k = allowed(target, n)
        assert k / n <= target and (k == n or (k + 1) / n > target)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_equals_a_strict_search_of_the_full_roc(data, dtype):
    coarse = st.integers(-5, 5).map(lambda x: x / 8)
    genuine = np.array(data.draw(st.lists(coarse, min_size=1, max_size=30)), dtype)
    impostor = np.array(data.draw(st.lists(coarse, min_size=1, max_size=30)), dtype)
    far = data.draw(st.sampled_from([0, 0.05, 0.1, 0.2, 1 / 3, 0.5, 0.9, 1.0]))
    assert tar_at_far(genuine, impostor, far) == pytest.approx(strict_by_roc(genuine, impostor, far), abs=0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_rescaling_and_monotonicity(seed):
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.standard_normal(40) + 1, rng.standard_normal(300)
    tars = tar_at_far(genuine, impostor, FARS)
    assert (np.diff(tars) >= 0).all()
    assert (tar_at_far(rng.permutation(genuine), rng.permutation(impostor), FARS) == tars).all()
    assert (tar_at_far(4 * genuine - 1, 4 * impostor - 1, FARS) == tars).all()
    tail = np.sort(impostor)[-40:]
    assert (tar_at_far(genuine, tail, FARS[:5], n_impostors=300) == tars[:5]).all()


def test_perfect_and_random_models():
    rng = np.random.default_rng(0)
    assert tar_at_far([0.9, 0.8], [0.1, 0.2], 0.0) == 1.0
    assert tar_at_far(rng.random(20_000), rng.random(20_000), 0.1) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("arguments, word", [
    (([], [0.1], 0.1), "genuine"), (([np.nan], [0.1], 0.1), "genuine"), (([0.1], [[0.1]], 0.1), "impostor"),
    (([0.1], [0.1], 1.5), "far"), (([0.1], [0.1], 0.5, 100), "impostor"), (([0.1], [0.1, 0.2], 0.5, 1), "impostor"),
    (([0.1], [0.1], 0.5, None, "closest"), "rule"), ((["a"], [0.1], 0.5), "genuine"),
])  # fmt: skip
def test_bad_input_names_the_argument(arguments, word):
    with pytest.raises(ValueError, match=word):
        tar_at_far(*arguments)


def model_like(rng, n_ids, per_id, d=16, noise=1.0):
    identity = np.repeat(np.arange(n_ids), per_id)
    centre = rng.standard_normal((n_ids, d))
    return (centre[identity] + noise * rng.standard_normal((len(identity), d))).astype(np.float32), identity


@pytest.mark.parametrize("block", [1 << 23, 400])
@pytest.mark.parametrize("keep", [None, 0.1, 0.01])
def test_scores_from_embeddings_equal_the_full_matrix(monkeypatch, block, keep):
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(1)
    a, ids_a = model_like(rng, 30, 3)
    b, ids_b = a[::-1] + 0.1 * rng.standard_normal(a.shape), ids_a[::-1]
    kept = verification_scores(a, ids_a, b[:70], ids_b[:70], keep)
    matrix = blocks.unit_rows(a) @ blocks.unit_rows(b[:70]).T
    same = ids_a[:, None] == ids_b[None, :70]
    assert kept.n_impostors == (~same).sum()
    np.testing.assert_allclose(np.sort(kept.genuine), np.sort(matrix[same]), atol=2e-6)
    largest = np.sort(matrix[~same])[::-1][: len(kept.impostor)]
    np.testing.assert_allclose(np.sort(kept.impostor)[::-1], largest, atol=2e-6)
    fars = [far for far in FARS if keep is None or far <= keep]
    expected = tar_at_far(matrix[same], matrix[~same], fars)
    np.testing.assert_allclose(tar_at_far(kept.genuine, kept.impostor, fars, kept.n_impostors), expected, atol=0.02)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_embeddings_may_be_reordered_rotated_and_rescaled(seed):
    rng = np.random.default_rng(seed)
    a, ids = model_like(rng, 12, 3)
    b = a + 0.5 * rng.standard_normal(a.shape)
    rotation = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    base = verification_scores(a, ids, b, ids, keep=None)
    order = rng.permutation(len(a))
    scale = rng.uniform(0.1, 10, (len(a), 1))
    other = verification_scores((a * scale) @ rotation, ids, (3 * b @ rotation)[order], ids[order], keep=None)
    np.testing.assert_allclose(np.sort(other.genuine), np.sort(base.genuine), atol=1e-5)
    np.testing.assert_allclose(np.sort(other.impostor), np.sort(base.impostor), atol=1e-5)


def test_string_identities_and_bad_embeddings():
    a = np.eye(3)
    kept = verification_scores(a, ["x", "y", "z"], a, ["x", "y", "w"])
    assert kept.genuine.tolist() == [1.0, 1.0] and kept.n_impostors == 7
    broken = a.copy()
    broken[1, 2] = np.nan
    for arguments, word in [
        ((broken, [0, 1, 2], a, [0, 1, 2]), "first: row 1"), ((a, [0, 1, 2], broken, [0, 1, 2]), "second: row 1"),
        ((a, [0, 1], a, [0, 1, 2]), "first_identity"), ((a, [0, 1, 2], a[:, :2], [0, 1, 2]), "prefix"),
        ((a[0], [0], a, [0, 1, 2]), "first"), ((a, [0, 1, 2], a, [3, 4, 5]), "genuine"),
        ((a, [0, 1, 2], a, ["0", "1", "2"]), "identity"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=word):
            verification_scores(*arguments)


def test_zero_vectors_score_zero():
    kept = verification_scores(np.zeros((2, 4)), [0, 1], np.eye(4)[:2], [0, 1])
    assert kept.genuine.tolist() == [0, 0] and kept.impostor.tolist() == [0, 0]


@pytest.mark.parametrize("n_pairs", [5, 4000])
@pytest.mark.parametrize("ordered", [False, True])
def test_pair_scores_equal_products_pair_by_pair(monkeypatch, n_pairs, ordered):
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 1000)
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((90, 8)), rng.standard_normal((70, 8))
    rows, columns = rng.integers(0, 90, n_pairs), rng.integers(10, 70, n_pairs)
    rows = np.sort(rows) if ordered else rows
    expected = np.einsum("ij,ij->i", blocks.unit_rows(a)[rows], blocks.unit_rows(b)[columns])
    np.testing.assert_allclose(pair_scores(a, rows, b, columns), expected, atol=1e-6)
    with pytest.raises(ValueError, match="second_rows"):
        pair_scores(a, rows, b, columns + 60)


def test_prefix_is_renormalised():
    wide = np.array([[3.0, 4.0, 12.0], [0.0, 2.0, 5.0]])
    np.testing.assert_allclose(blocks.prefix(wide, 2), [[0.6, 0.8], [0.0, 1.0]], atol=1e-7)
    with pytest.raises(ValueError, match="^d:"):
        blocks.prefix(wide, 4)
