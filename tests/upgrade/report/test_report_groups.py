"""Who gets worse by group of classes, and which threshold replaces which."""

import json

import numpy as np
import pytest
from upgrade_features import made_up

from bctlib.base.errors import BctError
from bctlib.metrics.backfill import random_order
from bctlib.upgrade.align import fit
from bctlib.upgrade.report import command
from bctlib.upgrade.report.command import report
from bctlib.upgrade.report.evidence.groups import read_groups

WORSE = tuple(range(0, 24, 2))
MADE = made_up(n_classes=60, per_class=6, singles=60, worse=WORSE, d=16, seed=1)
FAST = {"resamples": 60, "orders": 2, "far": [0.01, 0.05], "fpir": [0.1]}
GROUPS = {str(k): "harmed" for k in WORSE} | {str(k): "others" for k in range(60) if k not in WORSE}
SMALL = {str(k): "few" for k in range(30, 34)}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def right_at_rank_1(query, gallery, labels):
    scores = unit(query[:, : gallery.shape[1]]) @ unit(gallery).T
    np.fill_diagonal(scores, -np.inf)
    return labels[scores.argmax(axis=1)] == labels


def test_groups_are_those_of_full_matrices_and_the_harmed_one_is_named():
    page = report(MADE["new"], MADE["old"], MADE["labels"], groups=GROUPS | SMALL, **FAST)
    by_name = {each.name: each for each in page.judgement.groups}
    assert list(by_name)[0] == "harmed" and set(by_name) == {"harmed", "others", "few"}, "singles have no search"
    labels = MADE["labels"]
    own, cross = (right_at_rank_1(MADE[model], MADE["old"], labels) for model in ("old", "new"))
    for name, each in by_name.items():
        members = np.isin(labels, [int(k) for k, group in (GROUPS | SMALL).items() if group == name])
        assert each.n_queries == members.sum() and each.n_classes == len(np.unique(labels[members]))
        assert each.own.value == pytest.approx(own[members].mean())
        assert each.cross.value == pytest.approx(cross[members].mean())
        assert each.lost.value == pytest.approx((own & ~cross)[members].mean())
        assert each.won.value - each.lost.value == pytest.approx(each.difference.value)
        assert each.difference.low <= each.difference.value <= each.difference.high
    assert by_name["harmed"].change == "worse" and by_name["few"].change == "undecided"
    assert "Of 3 groups, 1 gets worse at rank 1: harmed (from" in page.summary()
    content = page.judgement.as_dict()["groups"][0]
    assert content["difference"]["high"] < 0 and "By group" in page.html()
    assert not report(MADE["new"], MADE["old"], labels, **FAST).judgement.groups


def test_classes_without_a_group_are_one_of_their_own():
    page = report(MADE["new"], MADE["old"], MADE["labels"], groups={"1": "first"}, **FAST)
    assert {each.name: each.n_classes for each in page.judgement.groups} == {"first": 1, "(no group)": 59}
    assert "None of the 2 groups" in page.summary() or "(no group)" in page.summary()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: expected the header class,group"),
        ("0,a\n", "line 1: expected the header class,group"),
        ("class,group\n0,a\n1\n", "line 3: expected a class and its group, found '1'"),
        ("class,group\n0,\n", "line 2: expected a class and its group"),
        ("class,group\n0,a\n1,a\n0,b\n", "line 4: class '0' is in group 'a' already"),
        ("class,group\nnobody,a\n", "groups.csv names no class of the queries, such as '0'"),
    ],
)
def test_a_bad_file_of_groups_is_one_sentence_and_writes_nothing(tmp_path, capsys, text, said):
    for name in ("new", "old", "labels"):
        np.save(tmp_path / f"{name}.npy", MADE[name])
    (tmp_path / "groups.csv").write_text(text)
    words = ["--query-features", "new.npy", "--gallery-features", "old.npy", "--labels", "labels.npy"]
    words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    assert command.main([*words, "--groups", str(tmp_path / "groups.csv"), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and "Traceback" not in captured.err and not (tmp_path / "out").exists()


def test_groups_from_a_file(tmp_path):
    (tmp_path / "groups.csv").write_text('class,group\n"a,b",x\n\nc,y\nc,y\n')
    assert read_groups(tmp_path / "groups.csv") == {"a,b": "x", "c": "y"}
    with pytest.raises(BctError, match="cannot read"):
        read_groups(tmp_path / "absent.csv")


def strict_threshold(scores, rate):
    """The lowest score that at most rate * n scores exceed (scores differ)."""
    return np.sort(scores)[::-1][int(rate * len(scores) + 1e-9)]


@pytest.mark.parametrize("mapped", [False, True])
def test_thresholds_keep_the_rate_also_of_a_half_backfilled_gallery(mapped):
    labels, new, old = MADE["labels"], MADE["foreign" if mapped else "new"], MADE["old"]
    made = fit(new, old, "ridge", strength=0.1, new_id="v2", old_id="v1") if mapped else None
    ids = {"query_map": made, "new_id": "v2", "old_id": "v1"} if mapped else {}
    page = report(new, old, labels, seed=4, **ids, **FAST)
    at_old = unit(made.apply(new, "v2") if mapped else new[:, : old.shape[1]]) @ unit(old).T
    at_new, own = unit(new) @ unit(new).T, unit(old) @ unit(old).T
    classes = np.arange(len(np.unique(labels)))
    is_new = np.isin(labels, random_order(classes, [4, 0])[: len(classes) // 2])
    half = np.where(is_new, at_new, at_old)
    strangers = labels[:, None] != labels
    alone = np.bincount(labels)[labels] == 1
    assert [(each.rate, each.point) for each in page.judgement.thresholds] == [
        ("FPIR", 0.1), ("FAR", 0.01), ("FAR", 0.05)
    ]  # fmt: skip
    for each in page.judgement.thresholds:
        for name, scores in (("old", own), ("new", at_old), ("half", half), ("backfilled", at_new)):
            others = np.where(strangers, scores, -np.inf)
            pool = others[alone].max(axis=1) if each.rate == "FPIR" else scores[strangers]
            assert getattr(each, name) == pytest.approx(strict_threshold(pool, each.point), abs=1e-5), name
        assert each.sentence() in page.summary()
    first = page.judgement.thresholds[1]
    assert f"For the same FAR=0.01 replace the threshold {first.old:.4f} by {first.new:.4f} (" in page.html()
    assert json.loads(json.dumps(page.judgement.as_dict()["thresholds"], allow_nan=False))[1]["half"] == first.half


def test_without_the_new_gallery_there_is_no_half():
    half, labels = np.arange(len(MADE["labels"])) % 2 == 0, MADE["labels"]
    page = report(
        MADE["new"][half], MADE["old"][~half], query_labels=labels[half], gallery_labels=labels[~half],
        old_query_features=MADE["old"][half], **FAST,
    )  # fmt: skip
    assert all(each.half is None and each.backfilled is None for each in page.judgement.thresholds)
    assert "backfilled" not in page.judgement.thresholds[0].sentence()
