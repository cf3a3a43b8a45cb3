"""Open-set search, TPIR@FPIR, rank-k and the backfill curve against brute force and their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bctlib.metrics import backfill_curve, blocks, rank_k, tpir_at_fpir
from bctlib.metrics.blocks import prefix
from bctlib.metrics.identification import identification_points, rank_k_over_galleries, search, tpir_over_galleries

FPIRS = [0.0, 0.01, 0.1, 0.3, 1.0]

# Vectors whose norm and products are exact in floating point, so that ties are real ties.
EXACT = np.array([[a, b, c, d] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1) for d in (-1, 1)]) / 2


def brute_force(probes, probe_identity, gallery, gallery_identity, fpir):
    """TPIR and ranks from loops over the full matrix, trying every threshold."""
    scores = probes @ gallery.T
    ranks, mates, alarms = [], [], []
    for row, identity in zip(scores, probe_identity, strict=True):
        own = gallery_identity == identity
        if own.any():
            mates.append(max(row[own]))
            ranks.append(1 + sum(row[~own] >= mates[-1]))
        else:
            alarms.append(max(row))
    alarms, mates, ranks = np.array(alarms), np.array(mates), np.array(ranks)
    best = 0.0
    for threshold in np.unique(np.concatenate([alarms, mates, [np.inf]])):
        if np.mean(alarms >= threshold) <= fpir:
            best = max(best, np.mean((mates >= threshold) & (ranks == 1)))
    return best, ranks


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FPIRS), st.booleans())
def test_search_equals_brute_force_with_ties(seed, fpir, several_rows_an_identity):
    rng = np.random.default_rng(seed)
    gallery = EXACT[rng.integers(0, 16, 12)]
    gallery_identity = rng.integers(0, 6, 12) if several_rows_an_identity else rng.permutation(12)
    probes, probe_identity = EXACT[rng.integers(0, 16, 40)], np.r_[gallery_identity[0], 99, rng.integers(0, 20, 38)]
    expected, ranks = brute_force(probes, probe_identity, gallery, gallery_identity, fpir)
    found = search(probes, probe_identity, gallery, gallery_identity)
    assert found.mate_rank.tolist() == ranks.tolist()
    assert tpir_at_fpir(found.mate_score, found.mate_rank, found.nonmated_best, fpir) == pytest.approx(expected, abs=0)
    np.testing.assert_array_equal(found.best, (probes @ gallery.T).max(axis=1))


@pytest.mark.parametrize("block", [1 << 23, 64, 900])
def test_tiles_change_nothing(monkeypatch, block):
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(3)
    gallery, gallery_identity = EXACT[rng.integers(0, 16, 150)], rng.integers(0, 100, 150)
    probes, probe_identity = EXACT[rng.integers(0, 16, 200)], np.r_[gallery_identity[0], rng.integers(0, 150, 199)]
    found = search(probes, probe_identity, gallery, gallery_identity)
    _, ranks = brute_force(probes, probe_identity, gallery, gallery_identity, 0.1)
    assert found.mate_rank.tolist() == ranks.tolist()
    assert (found.rank[~found.mated] == 0).all() and (found.mate[~found.mated] == -np.inf).all()
    np.testing.assert_array_equal(found.best, (probes @ gallery.T).max(axis=1))


def test_by_hand():
    # Four mated searches (one beaten, one tied with a stranger, so rank 2), three without a mate.
    score, rank, alarms = [0.9, 0.8, 0.7, 0.4], [1, 2, 1, 1], [0.75, 0.5, 0.4]
    assert tpir_at_fpir(score, rank, alarms, 0.0) == 1 / 4
    assert tpir_at_fpir(score, rank, alarms, 1 / 3) == 2 / 4
    assert tpir_at_fpir(score, rank, alarms, 2 / 3) == 2 / 4  # the mate at 0.4 is tied with an alarm
    assert tpir_at_fpir(score, rank, alarms, 1.0) == 3 / 4
    point = identification_points(score, rank, alarms, 0.4)[0]
    assert (point.n_false, point.n_negatives, point.attained, point.n_positives) == (1, 3, 1 / 3, 4)
    assert rank_k(rank, 1) == 0.75 and rank_k(rank, [1, 2]).tolist() == [0.75, 1.0]


def two_models(rng, n=60, d_old=8, d_new=12, noise=0.6):
    """Embeddings of galleries and probes by an old and a wider, better new model that share a space."""
    identity = rng.permutation(n)
    centre = rng.standard_normal((n, d_new))
    probe_identity = np.r_[rng.integers(0, n, 200), rng.integers(n, 2 * n, 100)]
    strangers = rng.standard_normal((n, d_new))
    probes = np.r_[centre, strangers][probe_identity] + noise * rng.standard_normal((300, d_new))
    gallery_new = centre[identity] + noise * rng.standard_normal((n, d_new))
    gallery_old = (centre[identity] + 2 * noise * rng.standard_normal((n, d_new)))[:, :d_old]
    return probes, probe_identity, gallery_old, gallery_new, identity


def test_galleries_average_thresholds_and_pool_ranks():
    rng = np.random.default_rng(4)
    probes, probe_identity, _, gallery, identity = two_models(rng)
    halves = [search(probes, probe_identity, gallery[half], identity[half]) for half in (slice(20), slice(20, 60))]
    each = [tpir_at_fpir(h.mate_score, h.mate_rank, h.nonmated_best, FPIRS) for h in halves]
    np.testing.assert_allclose(tpir_over_galleries(halves, FPIRS), (each[0] + each[1]) / 2)
    hits = sum((h.mate_rank <= 5).sum() for h in halves)
    assert rank_k_over_galleries(halves, 5) == hits / 200


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_invariances_and_monotonicity(seed):
    rng = np.random.default_rng(seed)
    probes, probe_identity, _, gallery, identity = two_models(rng)
    rotation = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    base = search(probes, probe_identity, gallery, identity)
    order, shuffle = rng.permutation(len(probes)), rng.permutation(len(gallery))
    scale = rng.uniform(0.1, 10, (len(probes), 1))
    other = search(
        ((scale * probes) @ rotation)[order], probe_identity[order], 7 * (gallery @ rotation)[shuffle],
        identity[shuffle],
    )  # fmt: skip
    np.testing.assert_allclose(other.best, base.best[order], atol=1e-5)
    np.testing.assert_allclose(other.mate[other.mated], base.mate[order][other.mated], atol=1e-5)
    assert np.mean(other.rank != base.rank[order]) < 0.01  # rounding may swap two scores that nearly tie
    tpirs = tpir_at_fpir(base.mate_score, base.mate_rank, base.nonmated_best, FPIRS)
    assert (np.diff(tpirs) >= 0).all() and tpirs[-1] == rank_k(base.mate_rank, 1)


def test_perfect_and_random_models():
    rng = np.random.default_rng(5)
    gallery = np.eye(40)
    strangers = -np.eye(40)[:10]
    found = search(np.r_[gallery, strangers], np.r_[np.arange(40), np.arange(50, 60)], gallery, np.arange(40))
    assert tpir_at_fpir(found.mate_score, found.mate_rank, found.nonmated_best, 0.0) == 1.0
    found = search(rng.standard_normal((5000, 20)), rng.integers(0, 50, 5000), rng.standard_normal((50, 20)), range(50))
    assert rank_k(found.mate_rank, 1) == pytest.approx(1 / 50, abs=0.01)
    assert rank_k(found.mate_rank, 5) == pytest.approx(5 / 50, abs=0.02)


def test_backfill_curve_equals_separate_searches():
    rng = np.random.default_rng(6)
    probes, probe_identity, old, new, identity = two_models(rng)
    order = rng.permutation(identity)
    share, curve = backfill_curve(probes, probe_identity, old, new, identity, FPIRS, order=order)
    assert curve.shape == (51, len(FPIRS)) and share[0] == 0 and share[-1] == 1
    unit_new, narrow = blocks.unit_rows(probes), prefix(probes, 8)
    old_scores = narrow @ blocks.unit_rows(old).T
    new_scores = unit_new @ blocks.unit_rows(new).T
    for point in range(51):
        done = np.isin(identity, order[: round(share[point] * 60)])
        assert done.sum() == round(60 * point / 50) or abs(done.sum() - 60 * point / 50) == 0.5
        scores = np.where(done, new_scores, old_scores)
        # One search in an orthonormal basis whose products are exactly the mixed scores.
        mates, ranks, alarms = [], [], []
        for row, wanted in zip(scores, probe_identity, strict=True):
            if wanted in identity:
                mates.append(row[identity == wanted][0])
                ranks.append(1 + np.count_nonzero(row[identity != wanted] >= mates[-1]))
            else:
                alarms.append(row.max())
        np.testing.assert_allclose(curve[point], tpir_at_fpir(mates, ranks, alarms, FPIRS), atol=1e-9)


def test_backfill_ends_are_plain_searches_and_several_rows_stay_together():
    rng = np.random.default_rng(7)
    probes, probe_identity, old, new, identity = two_models(rng)
    identity = identity // 2  # two templates an identity, scattered over the gallery
    share, curve = backfill_curve(probes, probe_identity, old, new, identity, 0.1, points=31)
    assert share.tolist() == pytest.approx([i / 30 for i in range(31)])
    for end, gallery in ((0, old), (-1, new)):
        found = search(probes if end else prefix(probes, 8), probe_identity, gallery, identity)
        expected = tpir_at_fpir(found.mate_score, found.mate_rank, found.nonmated_best, 0.1)
        assert curve[end] == pytest.approx(expected, abs=1e-9)


def test_bad_input_names_the_argument():
    eye, ids = np.eye(3), [0, 1, 2]
    broken = np.full((3, 3), np.inf)
    for call, word in [
        (lambda: search(broken, ids, eye, ids), "probes: row"), (lambda: search(eye, ids, broken, ids), "gallery: row"),
        (lambda: search(eye, ids, eye, ids[:2]), "gallery_identity"), (lambda: search(eye[:0], [], eye, ids), "probe"),
        (lambda: search(eye[:, :2], ids, eye, ids), "prefix"), (lambda: tpir_at_fpir([1.0], [0], [0.5], 0.1), "rank"),
        (lambda: tpir_at_fpir([1.0], [1], [], 0.1), "nonmated_best"), (lambda: rank_k([1, 2], 0), "k:"),
        (lambda: tpir_at_fpir([1.0], [1], [0.5], -0.1), "fpir"), (lambda: rank_k([1.5], 1), "mate_rank"),
        (lambda: backfill_curve(eye, ids, eye[:2], eye, ids), "gallery_old"),
        (lambda: backfill_curve(eye, [0, 1, 9], eye, eye, ids, order=[0, 1, 1]), "order"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=word):
            call()
