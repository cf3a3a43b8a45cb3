"""The numbers behind the page on an upgrade against brute force, and intervals that hold what they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import average_precision_score
from upgrade_features import made_up

from bctlib.metrics import blocks
from bctlib.metrics.backfill import backfill_searches
from bctlib.upgrade.report.evidence import scores as evidence_scores
from bctlib.upgrade.report.evidence.backfill import backfill_bands
from bctlib.upgrade.report.evidence.changes import telling_changes
from bctlib.upgrade.report.evidence.classes import class_changes
from bctlib.upgrade.report.evidence.flips import flips
from bctlib.upgrade.report.evidence.scores import draw_pairs, histograms
from bctlib.upgrade.report.inputs import open_inputs
from bctlib.upgrade.report.judge import judge
from bctlib.upgrade.report.measured import searches as pair_module
from bctlib.upgrade.report.measured.measures import choose_points, draw_identities, measure
from bctlib.upgrade.report.measured.resampling import (
    draw_weights,
    interval,
    thresholds,
    weighted_mean,
    weighted_share_above,
)
from bctlib.upgrade.report.measured.searches import search_gallery

MADE = made_up(n_classes=20, per_class=5, singles=30, seed=3)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def two_lists():
    """Every other image is a query; the first classes lose their gallery images, others are never searched for."""
    query = np.arange(len(MADE["labels"])) % 2 == 0
    labels = MADE["labels"]
    kept = ~query & (labels > 2)
    return open_inputs(
        MADE["new"][query], MADE["old"][kept], query_labels=labels[query], gallery_labels=labels[kept],
        old_query_features=MADE["old"][query], new_gallery_features=MADE["new"][kept],
    )  # fmt: skip


def one_list():
    return open_inputs(MADE["new"], MADE["old"], MADE["labels"])


FORMS = {"one list": one_list, "two lists": two_lists}


def scores_of(inputs, models):
    """All scores with who is a candidate: float [q, n], same class [q, n], not oneself [q, n]."""
    sides = inputs.sides
    query = {"new": sides.query, "old": sides.old_query}[models[0]].array.astype(np.float64)
    gallery = {"new": sides.new_gallery, "old": sides.gallery}[models[1]].array.astype(np.float64)
    d = min(query.shape[1], gallery.shape[1])
    scores = unit(query[:, :d]) @ unit(gallery[:, :d]).T
    same = inputs.query_class[:, None] == inputs.gallery_class
    return scores, same, ~np.eye(len(query), dtype=bool) if inputs.one_list else np.ones_like(same)


def comparison_of(inputs, models):
    chosen = [c for c in inputs.sides.comparisons() if (c.query_model, c.gallery_model) == models]
    return chosen[0].of_one_width()[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("models", [("old", "old"), ("new", "old"), ("new", "new")])
@pytest.mark.parametrize("block", [None, 1 << 9])
def test_searches_are_those_of_a_full_matrix(form, models, block, monkeypatch):
    if block:
        monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    inputs = FORMS[form]()
    found = search_gallery(comparison_of(inputs, models), inputs)
    scores, same, others = scores_of(inputs, models)
    mates, strangers = np.where(same & others, scores, -np.inf), np.where(same, -np.inf, scores)
    mated = (same & others).any(axis=1)
    np.testing.assert_array_equal(found.mated, mated)
    np.testing.assert_array_equal(inputs.mated, mated)
    np.testing.assert_allclose(found.mate, mates.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.other, strangers.max(axis=1), atol=1e-5)
    np.testing.assert_array_equal(found.mate_row, np.where(mated, mates.argmax(axis=1), -1))
    np.testing.assert_array_equal(found.other_row, strangers.argmax(axis=1))
    rank = 1 + (strangers >= mates.max(axis=1, keepdims=True)).sum(axis=1)
    np.testing.assert_array_equal(found.rank, np.where(mated, rank, 0))
    for query in np.flatnonzero(mated)[::7]:
        candidates = others[query]
        expected = average_precision_score(same[query, candidates], scores[query, candidates])
        assert found.average_precision[query] == pytest.approx(expected)


def weighted_accuracies(inputs, models, weights, fpir, far):
    """TPIR, rank 1, mAP and TAR of one resample by their definitions: every image as often as its class is drawn."""
    scores, same, others = scores_of(inputs, models)
    scores = scores.astype(np.float32)
    of_query, of_gallery = weights[inputs.query_class].astype(float), weights[inputs.gallery_class].astype(float)
    mate = np.where(same & others, scores, -np.inf).max(axis=1)
    other = np.where(same, -np.inf, scores).max(axis=1)
    mated = (same & others).any(axis=1)

    def threshold(values, times, rate):
        order = np.argsort(-values)
        over = np.cumsum(times[order]) > rate * times.sum() * (1 + 1e-12)
        return values[order][over][0] if over.any() else -np.inf

    at = threshold(other[~mated], of_query[~mated], fpir)
    hit = (mate > other) & (mate > at)
    tpir = (of_query * hit)[mated].sum() / of_query[mated].sum()
    rank1 = (of_query * (mate > other))[mated].sum() / of_query[mated].sum()
    pair = of_query[:, None] * of_gallery
    at = threshold(scores[~same], pair[~same], far)
    genuine = same & others
    of_pair = np.broadcast_to(of_query[:, None], same.shape)
    tar = (of_pair * (scores > at))[genuine].sum() / of_pair[genuine].sum()
    return tpir, rank1, tar


@pytest.mark.parametrize("form", FORMS)
def test_replicates_are_the_accuracies_of_weighted_images(form):
    inputs = FORMS[form]()
    points = choose_points(inputs, [0.01, 0.2], [0.1, 0.3], [1])
    weights = draw_identities(inputs, 12, seed=5)
    models = ("new", "old")
    pair = comparison_of(inputs, models)
    measured = measure(pair, search_gallery(pair, inputs), inputs, points, weights)
    names = [(row.metric, row.point) for row in measured.rows]
    assert names == [("TPIR", 0.1), ("TPIR", 0.3), ("rank", 1), ("mAP", None), ("TAR", 0.01), ("TAR", 0.2)]
    ones = np.ones(len(inputs.classes))
    for at, (fpir, far) in enumerate(zip(points.fpir, points.far, strict=True)):
        plain = weighted_accuracies(inputs, models, ones, fpir, far)
        assert [measured.rows[k].value for k in (at, 2, 4 + at)] == pytest.approx(plain)
        for resample in range(weights.shape[1]):
            expected = weighted_accuracies(inputs, models, weights[:, resample], fpir, far)
            assert measured.replicates[[at, 2, 4 + at], resample] == pytest.approx(expected, abs=1e-6)


def test_a_thinned_tail_changes_replicates_little_and_accuracies_not(monkeypatch):
    inputs = one_list()
    points = choose_points(inputs, [0.05, 0.2], None, None)
    weights = draw_identities(inputs, 200, seed=1)
    pair = comparison_of(inputs, ("new", "old"))
    searches = search_gallery(pair, inputs)
    whole = measure(pair, searches, inputs, points, weights)
    monkeypatch.setattr(pair_module, "KEPT", 600)
    thin = measure(pair, searches, inputs, points, weights)
    assert thin.rows == whole.rows
    np.testing.assert_allclose(thin.replicates.mean(axis=1), whole.replicates.mean(axis=1), atol=0.02)
    assert not np.array_equal(thin.replicates, whole.replicates)


def test_classes_are_drawn_among_their_kind():
    strata = np.array([0] * 5 + [1] * 3)
    weights = draw_weights(strata, 50, seed=0)
    assert (weights[:5].sum(axis=0) == 5).all() and (weights[5:].sum(axis=0) == 3).all()
    assert np.array_equal(weights, draw_weights(strata, 50, seed=0))
    assert not np.array_equal(weights, draw_weights(strata, 50, seed=1))


def test_intervals_of_a_mean_hold_the_truth_as_often_as_they_say():
    """Classes differ, and so do their images; the truth is the difference of two systems over all classes there are."""
    rng, held, trials, true = np.random.default_rng(0), 0, 200, 0.3
    for _ in range(trials):
        of_class = rng.normal(size=80)
        classes = np.repeat(np.arange(80), 4)
        shared = of_class[classes] + 0.5 * rng.normal(size=len(classes))
        old, new = shared > 0.8, shared + true > 0.8
        weights = draw_weights(np.zeros(80, int), 300, int(rng.integers(1 << 30)))
        difference = weighted_mean(weights, classes, new) - weighted_mean(weights, classes, old)
        found = interval(new.mean() - old.mean(), difference)
        sd = np.sqrt(1.25)
        truth = norm.sf((0.8 - true) / sd) - norm.sf(0.8 / sd)
        held += found.low <= truth <= found.high
    assert 0.90 <= held / trials <= 0.99


def test_intervals_at_an_operating_point_hold_the_truth_as_often_as_they_say():
    """The threshold is a quantile of impostors, which are drawn anew too."""
    rng, held, trials = np.random.default_rng(1), 0, 200
    truth = norm.cdf(2.0 - norm.isf(0.1))
    mated, vain = np.arange(200), 200 + np.arange(200)
    for _ in range(trials):
        genuine, impostor = 2 + rng.normal(size=200), np.sort(rng.normal(size=200))[::-1]
        weights = draw_weights(np.repeat([0, 1], 200), 200, int(rng.integers(1 << 30)))
        cuts = thresholds(weights, impostor, vain, None, None, np.full(200, 200.0), [0.1], whole=True)[0]
        counts = np.bincount(mated, minlength=400)
        replicates = weighted_share_above(weights, mated, genuine, counts, cuts)
        found = interval(0.0, replicates)
        held += found.low <= truth <= found.high
    assert 0.90 <= held / trials <= 0.98


@pytest.mark.parametrize("form", FORMS)
def test_the_backfill_begins_at_new_old_and_ends_at_new_new(form):
    inputs = FORMS[form]()
    judgement = judge(inputs, fpir=[0.1], resamples=20, orders=4)
    (band,) = judgement.backfill
    (tpir,) = [point for point in judgement.points if point.metric == "TPIR"]
    assert band.share[0] == 0 and band.share[-1] == 1
    assert band.mean[0] == band.low[0] == pytest.approx(tpir.new_old.value)
    assert band.mean[-1] == band.high[-1] == pytest.approx(tpir.losses[0].value)
    closed = backfill_bands(inputs, [], 3, seed=0)[0]
    rank1 = next(point for point in judgement.points if point.name == "rank-1")
    assert (closed.mean[0], closed.mean[-1]) == pytest.approx((rank1.new_old.value, rank1.losses[0].value))


def test_score_histograms_are_of_all_pairs():
    inputs = one_list()
    pair = comparison_of(inputs, ("new", "old"))
    scores, same, others = scores_of(inputs, ("new", "old"))
    for found in histograms(pair, draw_pairs(inputs, seed=0)):
        expected = scores[same & others] if found.kind == "genuine" else scores[~same]
        assert found.n_pairs == len(expected) and found.mean == pytest.approx(expected.mean(), abs=1e-6)
        assert sum(found.share) == pytest.approx(1)


def test_many_pairs_are_drawn_from_and_the_shape_stays(monkeypatch):
    inputs = one_list()
    pair = comparison_of(inputs, ("old", "old"))
    whole = histograms(pair, draw_pairs(inputs, seed=0))
    monkeypatch.setattr(evidence_scores, "MOST_PAIRS", 300)
    drawn = histograms(pair, draw_pairs(inputs, seed=0))
    for all_pairs, some in zip(whole, drawn, strict=True):
        assert some.n_pairs <= 300 < all_pairs.n_pairs
        assert some.mean == pytest.approx(all_pairs.mean, abs=0.1)


@pytest.mark.parametrize(
    ("itself", "said"), [([0, 1], "expected for each of 4 probes"), ([0, 1, 9, 0], "0 to 3"), ([1, 0, 2, 3], "own")]
)
def test_an_image_that_is_not_the_probes_own_is_refused(itself, said):
    rows, labels = np.eye(4, dtype=np.float32), np.arange(4)
    with pytest.raises(ValueError, match=said):
        backfill_searches(rows, labels, rows, rows, labels, itself=np.array(itself))


def test_classes_that_get_worse_are_found_and_others_are_not_accused():
    made = made_up(n_classes=60, per_class=14, worse=(4, 30), d=24, seed=1)
    inputs = open_inputs(made["new"], made["old"], made["labels"])
    before, after = (search_gallery(comparison_of(inputs, (m, "old")), inputs) for m in ("old", "new"))
    changes = class_changes(before, after, inputs)
    assert {each.name for each in changes if each.beyond_chance and each.change == "worse"} == {"4", "30"}
    assert {each.name for each in changes[:2]} == {"4", "30"}
    for each in changes:
        of = inputs.query_class == int(each.name)
        assert each.n_better == np.count_nonzero(after.rank[of] < before.rank[of])
        assert each.reciprocal_new == pytest.approx(np.mean(1 / after.rank[of]))
        assert each.rank1_old == pytest.approx(np.mean(before.rank[of] == 1))
        moved = each.n_better + each.n_worse
        assert each.p == pytest.approx(binomtest(each.n_better, moved).pvalue if moved else 1.0)
        assert each.p <= each.q <= 1


def test_no_class_is_accused_where_nothing_but_noise_changes():
    rng = np.random.default_rng(0)
    centres, labels = rng.normal(size=(80, 16)), np.repeat(np.arange(80), 12)
    accused = 0
    for _ in range(5):
        images = centres[labels] + rng.normal(size=(len(labels), 16))
        both = [(images + 0.8 * rng.normal(size=images.shape)).astype(np.float32) for _ in range(3)]
        inputs = open_inputs(
            both[0], both[2], query_labels=labels, gallery_labels=labels, old_query_features=both[1]
        )  # fmt: skip
        before, after = (search_gallery(comparison_of(inputs, (m, "old")), inputs) for m in ("old", "new"))
        accused += any(each.beyond_chance for each in class_changes(before, after, inputs))
    assert accused <= 1


def test_telling_changes_are_the_largest_one_a_class():
    made = made_up(n_classes=30, per_class=6, worse=(4,), seed=2)
    inputs = open_inputs(made["new"], made["old"], made["labels"])
    before, after = (search_gallery(comparison_of(inputs, (m, "old")), inputs) for m in ("old", "new"))
    changes = telling_changes(before, after, inputs)
    ratio = after.rank / before.rank
    assert len(changes) == 10 and [each.kind for each in changes] == ["gained"] * 5 + ["lost"] * 5
    assert ratio[changes[0].query_row] == ratio.min() and ratio[changes[5].query_row] == ratio.max()
    assert len({each.query_class for each in changes[:5]}) == 5
    scores, same, others = scores_of(inputs, ("new", "old"))
    for each in changes:
        row = np.where(others[each.query_row], scores[each.query_row], -np.inf)
        assert each.new.top_row == row.argmax() and each.new.top_score == pytest.approx(row.max(), abs=1e-6)
        assert each.new.right == (inputs.gallery_class[row.argmax()] == inputs.query_class[each.query_row])
        assert each.old.mate_rank == before.rank[each.query_row]


@pytest.mark.parametrize("form", FORMS)
def test_flips_are_counted_from_full_matrices_and_differ_by_the_change_of_rank_1(form):
    inputs = FORMS[form]()
    weights = draw_identities(inputs, 50, seed=0)
    right = {}
    for models in (("old", "old"), ("new", "old")):
        scores, same, others = scores_of(inputs, models)
        best = np.where(same & others, scores, -np.inf).max(axis=1)
        right[models[0]] = best > np.where(same, -np.inf, scores).max(axis=1)
    searches = [search_gallery(comparison_of(inputs, (model, "old")), inputs) for model in ("old", "new")]
    found = flips(*searches, inputs, weights)
    old, new = (right[model][inputs.mated] for model in ("old", "new"))
    assert found.n_searches == len(old)
    assert found.lost.value == pytest.approx((old & ~new).mean())
    assert found.won.value == pytest.approx((~old & new).mean())
    assert found.won.value - found.lost.value == pytest.approx(new.mean() - old.mean())
    of = weights[inputs.query_class[inputs.mated]].astype(float)  # every search as often as its class is drawn
    for share, outcome in ((found.lost, old & ~new), (found.won, ~old & new)):
        expected = interval(outcome.mean(), outcome @ of / of.sum(axis=0))
        np.testing.assert_allclose(share, expected)
