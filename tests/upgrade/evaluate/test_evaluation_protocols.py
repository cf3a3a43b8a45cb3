"""Whole evaluations against oracles: scikit-learn's full ROC, brute-force searches, average precision by query."""

import json
import shutil

import numpy as np
import pytest
from ijbc_fixture import market_arrays, market_names, write_ijbc
from sklearn.metrics import average_precision_score, roc_curve

from bctlib.base.errors import BctError, UsageError
from bctlib.data.paper.market1501 import labels_of_names
from bctlib.metrics import backfill_curve, update_gain
from bctlib.upgrade.evaluate import evaluate_ijbc, evaluate_market1501, evaluate_pairs, evaluate_search, load_features
from bctlib.upgrade.evaluate.comparisons import verification_curve

FARS, FPIRS, RANKS = (0.01, 0.1, 0.3), (0.1, 0.3), (1, 2, 5)


@pytest.fixture(scope="module")
def ijbc(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ijbc")
    patch = pytest.MonkeyPatch()
    patch.setenv("BCT_STORE", str(folder / "store"))
    yield folder / "meta", write_ijbc(folder / "meta", n_subjects=20)
    patch.undo()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pooled(truth, features, n1=True, d1=True):
    """Template by template, medium by medium, in float64."""
    rows = []
    for t in range(len(truth["template_id"])):
        total = 0
        for m in np.unique(truth["image_medium"][truth["image_template"] == t]):
            at = (truth["image_template"] == t) & (truth["image_medium"] == m)
            images = features[at].astype(np.float64)
            images = images if n1 else unit(images)
            total = total + (images * (truth["score"][at, None] if d1 else 1)).mean(axis=0)
        rows.append(total)
    return unit(np.array(rows))


def strict_tar(genuine, impostor, far):
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    fpr, tpr, _ = roc_curve(labels, np.r_[genuine, impostor], drop_intermediate=False)
    return tpr[fpr <= far].max()


def open_set(scores, probe_subject, gallery_subject, fpir):
    """Every threshold tried in turn; and the rank of every mate."""
    hits, best_other, ranks = [], [], []
    for row, subject in zip(scores, probe_subject, strict=True):
        own = gallery_subject == subject
        if own.any():
            ranks.append(1 + int((row[~own] >= row[own].max()).sum()))
            hits.append(row[own].max() if ranks[-1] == 1 else -np.inf)
        else:
            best_other.append(row.max())
    best_other, hits = np.array(best_other), np.array(hits)
    values = [np.mean(hits > t) for t in (-np.inf, *best_other) if np.mean(best_other > t) <= fpir]
    return max(values), ranks


@pytest.mark.parametrize("n1", [True, False])
@pytest.mark.parametrize("d1", [True, False])
def test_ijbc_equals_oracles(ijbc, n1, d1):
    meta, truth = ijbc
    report = evaluate_ijbc(
        meta, truth["new"], truth["old"], far=FARS, fpir=FPIRS, ranks=RANKS, normalise_images=not n1, detector_score=d1
    )
    templates = {"new": pooled(truth, truth["new"], n1, d1), "old": pooled(truth, truth["old"], n1, d1)}
    genuine = truth["label"] == 1
    subject, probes = truth["template_subject"], truth["probes"]
    for query, gallery in (("new", "old"), ("old", "old"), ("new", "new")):
        scores = np.sum(templates[query][truth["first"]] * templates[gallery][truth["second"]], axis=1)
        for far in FARS:
            assert report.value(query, gallery, "TAR", far) == pytest.approx(
                strict_tar(scores[genuine], scores[~genuine], far), abs=1e-9
            )
        ranks = []
        tpir = {fpir: [] for fpir in FPIRS}
        for enrolled in truth["galleries"].values():
            matrix = templates[query][probes] @ templates[gallery][enrolled].T
            for fpir in FPIRS:
                value, found = open_set(matrix, subject[probes], subject[enrolled], fpir)
                tpir[fpir].append(value)
            ranks += found
        for fpir in FPIRS:
            assert report.value(query, gallery, "TPIR", fpir) == pytest.approx(np.mean(tpir[fpir]), abs=1e-9)
        for k in RANKS:
            assert report.value(query, gallery, "rank", k) == pytest.approx(np.mean(np.array(ranks) <= k), abs=1e-9)
    for column, fpir in enumerate(FPIRS):
        expected = [
            backfill_curve(templates["new"][probes], subject[probes], templates["old"][e], templates["new"][e],
                           subject[e], fpir)[1]
            for e in truth["galleries"].values()
        ]  # fmt: skip
        assert np.allclose(np.array(report.backfill.tpir)[:, column], np.mean(expected, axis=0))


def test_a_gallery_without_any_probe_is_refused(ijbc, tmp_path):
    meta, truth = ijbc
    shutil.copytree(meta, tmp_path / "meta")
    shutil.copy(meta / "ijbc_1N_gallery_G1.csv", tmp_path / "meta" / "ijbc_1N_probe_mixed.csv")
    with pytest.raises(BctError, match="all of the subjects of ijbc_1N_probe_mixed.csv are in ijbc_1N_gallery_G1"):
        evaluate_ijbc(tmp_path / "meta", truth["new"])


def test_verdicts_gains_and_the_self_test(ijbc):
    meta, truth = ijbc
    report = evaluate_ijbc(meta, truth["new"], truth["old"], truth["new"], far=FARS, fpir=FPIRS)
    assert {(v.protocol, v.metric) for v in report.verdicts} == {("1:1", "TAR"), ("1:N", "TPIR"), ("1:N", "rank")}
    for verdict in report.verdicts:
        if verdict.gallery in ("", "mean"):
            cross, old, own = (
                report.value(*models, verdict.metric, verdict.point)
                for models in (("new", "old"), ("old", "old"), ("new*", "new*"))
            )
            assert own == report.value("new", "new", verdict.metric, verdict.point)
            assert verdict.compatible == (cross > old)
            expected = update_gain(cross, old, own)
            assert verdict.update_gain == (None if np.isnan(expected) else expected)
    alone = evaluate_ijbc(meta, truth["new"], far=FARS, fpir=FPIRS)
    assert not alone.verdicts and alone.backfill is None
    assert {(row.query_model, row.gallery_model) for row in alone.measurements} == {("new", "new")}
    assert alone.value("new", "new", "TAR", 0.1) == report.value("new", "new", "TAR", 0.1)
    with pytest.raises(KeyError):
        alone.value("new", "old", "TAR", 0.1)


def test_a_wider_new_model_is_cut_and_rotation_and_scale_change_nothing(ijbc):
    meta, truth = ijbc
    rng = np.random.default_rng(0)
    wide = np.hstack([truth["new"], rng.normal(size=(len(truth["new"]), 5))])
    plain = evaluate_ijbc(meta, truth["new"], truth["old"], far=FARS, fpir=FPIRS)
    cut = evaluate_ijbc(meta, wide, truth["old"], far=FARS, fpir=FPIRS)
    assert cut.value("new", "old", "TAR", 0.1) == plain.value("new", "old", "TAR", 0.1)
    assert any("the first 16 of 21 dimensions of new" in note for note in cut.notes)
    assert any("float64 and was converted" in note for note in cut.notes)
    rotation = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    turned = evaluate_ijbc(meta, 7 * truth["new"] @ rotation, 0.1 * truth["old"] @ rotation, far=FARS, fpir=FPIRS)
    assert [row.value for row in turned.measurements] == pytest.approx([row.value for row in plain.measurements])


def test_a_perfect_and_a_random_model(ijbc):
    meta, truth = ijbc
    rng = np.random.default_rng(1)
    perfect = np.eye(1000, dtype=np.float32)[truth["template_subject"][truth["image_template"]]]
    report = evaluate_ijbc(meta, perfect, far=FARS, fpir=FPIRS)
    assert all(row.value == 1 for row in report.measurements)
    report = evaluate_ijbc(meta, rng.normal(size=(len(perfect), 64)), far=FARS, fpir=FPIRS)
    assert abs(report.value("new", "new", "TAR", 0.3) - 0.3) < 0.15
    assert report.value("new", "new", "rank", 1) < 0.35


def test_few_impostors_are_warned_of_and_nearest_is_named(ijbc):
    meta, truth = ijbc
    report = evaluate_ijbc(meta, truth["new"], far=(1e-6, 0.1), fpir=(0.3,), rule="nearest")
    assert "1:1 TAR at 1e-06 is decided by fewer than 10 impostors (0 accepted)" in report.warnings
    assert not any("at 0.1" in warning for warning in report.warnings)
    text = report.table()
    assert "rule nearest" in text and "warning: 1:1 TAR at 1e-06" in text
    attained = next(row for row in report.measurements if row.point == 0.1)
    assert f"{attained.attained:.3g}" in text and f"{attained.n_false:,}" in text


def test_curves_pass_through_the_operating_points():
    rng = np.random.default_rng(2)
    genuine, impostor = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 5000).round(1)  # with ties
    curve = verification_curve(("new", "old"), genuine, impostor)
    assert (np.diff(curve["x"]) >= 0).all() and (np.diff(curve["y"]) >= 0).all() and curve["y"][-1] == 1
    for far, tar in zip(curve["x"][:-1:20], curve["y"][:-1:20], strict=True):
        assert tar == pytest.approx(strict_tar(genuine, impostor, far * (1 + 1e-5)), abs=1e-5)


def market(seed=0, widths=(16, 16)):
    query, gallery = market_names(seed)
    labels = labels_of_names(query), labels_of_names(gallery)
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(12, 16))
    features = [
        (centre[each.identity] + noise * rng.normal(size=(len(each.identity), 16)))[:, :width].astype(np.float32)
        for width, noise in zip(widths, (0.8, 1.5), strict=True)
        for each in labels
    ]
    return query, gallery, labels, features


@pytest.mark.parametrize("seed", range(4))
def test_market_equals_average_precision_query_by_query(seed):
    query, gallery, labels, (new_q, new_g, old_q, old_g) = market(seed)
    report = evaluate_market1501(
        new_q, old_g, *labels, old_query_features=old_q, new_gallery_features=new_g, paragon_query_features=new_q,
        paragon_gallery_features=new_g,
    )  # fmt: skip
    (q_id, q_cam), (g_id, g_cam) = market_arrays(query), market_arrays(gallery)
    sides = {"new": (new_q, new_g), "old": (old_q, old_g)}
    for models in (("new", "old"), ("old", "old"), ("new", "new"), ("old", "new")):
        scores = unit(sides[models[0]][0]) @ unit(sides[models[1]][1]).T
        precisions, trapezoids, firsts = [], [], []
        for row, identity, camera in zip(scores, q_id, q_cam, strict=True):
            keep = (g_id != -1) & ~((g_id == identity) & (g_cam == camera))
            relevant = (g_id == identity)[keep]
            if relevant.any():
                precisions.append(average_precision_score(relevant, row[keep]))
                ranking = relevant[np.argsort(-row[keep])]
                firsts.append(1 + int(np.argmax(ranking)))
                ranks = np.flatnonzero(ranking) + 1
                found = np.arange(1, len(ranks) + 1)
                before = np.where(ranks > 1, (found - 1) / np.maximum(ranks - 1, 1), 1)
                trapezoids.append(np.mean((found / ranks + before) / 2))
        assert report.value(*models, "mAP") == pytest.approx(np.mean(precisions), abs=1e-6)
        assert report.value(*models, "mAP (trapezoid)") == pytest.approx(np.mean(trapezoids), abs=1e-6)
        for k in (1, 5, 10):
            assert report.value(*models, "CMC", k) == pytest.approx(np.mean(np.array(firsts) <= k), abs=1e-9)
    assert len(report.verdicts) == 5


def test_market_of_two_widths():
    _, _, labels, (new_q, _, old_q, old_g) = market(1, widths=(16, 8))
    report = evaluate_market1501(new_q, old_g, *labels, old_query_features=old_q)
    cut = evaluate_market1501(new_q[:, :8], old_g, *labels)
    assert report.value("new", "old", "mAP") == cut.value("new", "old", "mAP")
    assert any("the published Market-1501 has 19,732" in note for note in report.notes)


@pytest.mark.parametrize("seed", range(3))
def test_own_pairs_with_ties_equal_the_full_roc(seed):
    rng = np.random.default_rng(seed)
    new, old = rng.integers(-1, 2, (30, 3)).astype(float), rng.integers(-1, 2, (40, 3)).astype(float)
    new[:, 0] += 3  # no zero rows
    old[:, 0] += 3
    pairs = np.stack([rng.integers(0, 30, 900), rng.integers(0, 40, 900), rng.integers(0, 2, 900)], axis=1)
    report = evaluate_pairs(pairs, new, old, far=FARS)
    a, b = (unit(x.astype(np.float32)) for x in (new, old))
    from bctlib.metrics.verification import pair_scores

    scores = pair_scores(new, pairs[:, 0], old, pairs[:, 1])  # ties only where float32 has them
    assert np.abs(scores - np.sum(a[pairs[:, 0]] * b[pairs[:, 1]], axis=1)).max() < 1e-6
    for far in FARS:
        expected = strict_tar(scores[pairs[:, 2] == 1], scores[pairs[:, 2] == 0], far)
        assert report.value("new", "old", "TAR", far) == pytest.approx(expected, abs=1e-9)
    order = rng.permutation(900)
    mixed = evaluate_pairs(pairs[order], new, old, far=FARS)
    assert [row.value for row in mixed.measurements] == [row.value for row in report.measurements]


def test_own_pairs_with_themselves_and_with_every_model():
    rng = np.random.default_rng(5)
    new, old = rng.normal(size=(20, 8)), rng.normal(size=(20, 6))
    pairs = rng.integers(0, 20, (200, 3)) % [20, 20, 2]
    alone = evaluate_pairs(pairs, new, far=FARS)
    full = evaluate_pairs(pairs, new, old, old_query_features=old, new_gallery_features=new, far=FARS)
    assert alone.value("new", "new", "TAR", 0.3) == full.value("new", "new", "TAR", 0.3)
    assert len(full.verdicts) == 3
    with pytest.raises(UsageError, match="paragon needs both"):
        evaluate_pairs(pairs, new, old, paragon_query_features=new)


def test_own_search_equals_brute_force_and_backfill_ends_at_the_new_model():
    rng = np.random.default_rng(6)
    centre = rng.normal(size=(30, 10))
    gallery_id = np.array([f"p{i}" for i in range(15)])
    query_id = np.array([f"p{i}" for i in rng.integers(0, 30, 120)])
    at = [int(name[1:]) for name in query_id]
    new_q, old_q = (centre[at] + noise * rng.normal(size=(120, 10)) for noise in (0.7, 1.4))
    new_g, old_g = (centre[:15] + noise * rng.normal(size=(15, 10)) for noise in (0.7, 1.4))
    report = evaluate_search(
        new_q, old_g, query_id, gallery_id, old_query_features=old_q, new_gallery_features=new_g,
        fpir=FPIRS, ranks=RANKS,
    )  # fmt: skip
    for fpir in FPIRS:
        value, ranks = open_set(unit(new_q) @ unit(old_g).T, query_id, gallery_id, fpir)
        assert report.value("new", "old", "TPIR", fpir) == pytest.approx(value)
        assert report.value("new", "old", "rank", 2) == pytest.approx(np.mean(np.array(ranks) <= 2))
    ends = np.array(report.backfill.tpir)[[0, -1]]
    for row, gallery in zip(ends, ("old", "new"), strict=True):
        assert row.tolist() == [report.value("new", gallery, "TPIR", fpir) for fpir in FPIRS]
    closed = evaluate_search(new_q[np.array(at) < 15], old_g, query_id[np.array(at) < 15], gallery_id)
    assert {row.metric for row in closed.measurements} == {"rank"} and "undefined" in closed.notes[-1]
    with pytest.raises(BctError, match="nothing can be found"):
        evaluate_search(new_q[:1], old_g, np.array(["x"]), gallery_id)


def test_the_report_as_json(ijbc, tmp_path):
    meta, truth = ijbc
    np.save(tmp_path / "new.npy", truth["new"])
    same = load_features(tmp_path / "new.npy")
    report = evaluate_ijbc(meta, tmp_path / "new.npy", same, far=FARS, fpir=(0, 1), curves=True)
    path = report.save(tmp_path / "deep" / "folder")
    content = json.loads(path.read_text())
    inputs = {each["name"]: each for each in content["inputs"]}
    assert len(inputs["query_features"]["sha256"]) == 64
    assert inputs["query_features"]["shape"] == list(truth["new"].shape)
    assert inputs["gallery_features"]["sha256"] is None and len(inputs["pairs"]["sha256"]) == 64
    assert content["rule"] == "strict" and "the first model on the first template" in content["direction"]
    assert "numpy" in content["provenance"]["versions"]
    assert len(content["measurements"]) == len(report.measurements)
    everything = [row for row in content["measurements"] if row["point"] == 1 and row["metric"] == "TPIR"]
    assert everything and all(row["threshold"] is None for row in everything)  # -inf is no JSON
    assert {curve["kind"] for curve in content["curves"]} == {"1:1", "1:N"}
    assert not any(verdict["compatible"] for verdict in content["verdicts"])  # equal is not better
