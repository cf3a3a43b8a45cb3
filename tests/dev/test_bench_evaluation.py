"""`bench evaluation` at its small size: every stage and peer runs, and peers find what we find. No timing is judged."""

import json

import numpy as np
import pytest

from bctlib.data.paper.ijbc import read_ijbc_meta
from dev.bench import evaluation, measure, peers
from dev.bench.__main__ import main
from dev.bench.generated import SMALL, generate_ijbc, generate_market, image_features, write_meta


def test_a_small_run_agrees_with_its_peers(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    assert main(["evaluation", "--small", "--out", str(tmp_path)]) == 0
    lines = json.loads((tmp_path / "bench-evaluation.json").read_text())["lines"]
    ours = {line["stage"] for line in lines if line["who"] == "bctlib"}
    assert {
        "template pooling",
        "pair scores",
        "1:N, G1 and G2",
        "Market-1501, 2048-d",
        "search in 2,000",
        "report, 80 in 400",
    } <= ours
    theirs = [line for line in lines if line["who"] != "bctlib"]
    assert {"scan per template", "row products", "scikit-learn", "scikit-learn, by query"} <= {x["who"] for x in theirs}
    assert all(line["ratio"] > 0 and line["agrees"] is not False for line in theirs)
    assert not (tmp_path / "store").exists()  # generated metadata leaves nothing in the user's store
    out = capsys.readouterr().out
    assert "peak MB" in out and "scikit-learn" in out


def test_a_peer_that_disagrees_fails_the_run(monkeypatch, capsys):
    monkeypatch.setattr(peers, "pairs_by_row_products", lambda first, rows, *rest: np.zeros(len(rows)))
    assert main(["evaluation", "--small", "--only", "ijbc"]) == 1
    assert "results differ from ours: row products on pair scores" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "unknown benchmark ''; known: evaluation, heads, training"),
        (["evalution"], "did you mean 'evaluation'"),
        (["evaluation", "--smal"], "unrecognized arguments: --smal"),
        (["evaluation", "--only", "lfw"], "invalid choice: 'lfw'"),
    ],
)
def test_what_is_not_understood_exits_2(capsys, words, said):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_generated_structure_is_the_benchmarks(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    data = generate_ijbc(SMALL)
    assert (len(data.template), len(data.first)) == (SMALL.images, SMALL.pairs)
    assert np.array_equal(data.genuine, data.subject[data.first] == data.subject[data.second])
    assert data.genuine.sum() == SMALL.genuine and len(set(zip(data.first, data.second, strict=True))) == SMALL.pairs
    assert (np.bincount(data.template, minlength=len(data.subject)) > 0).all()
    write_meta(tmp_path, data, SMALL)
    counts = read_ijbc_meta(tmp_path).counts
    assert (counts["genuine pairs"], counts["G1 templates"], counts["probe templates"]) == (150, 16, 160)
    assert np.array_equal(image_features(data, SMALL, 1.0, 3), image_features(data, SMALL, 1.0, 3))
    query, labels, gallery, gallery_labels = generate_market(SMALL, 8)
    assert len(query) == len(labels.camera) == SMALL.queries and {-1, 0} <= set(gallery_labels.identity)
    assert len(gallery) == len(gallery_labels.identity)


def test_measure_gives_the_result_and_sees_memory():
    timing, result = measure.measure(lambda: np.ones(16_000_000).sum())  # 128 MB: too much for what malloc keeps free
    assert result == 16_000_000 and timing.seconds > 0
    assert timing.peak_mb is None or timing.peak_mb > 100


def test_measuring_stops_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(measure, "_reset_peak", lambda: None)
    timing, _ = measure.measure(lambda: 1)
    assert timing.peak_mb is None and "-" in evaluation._text(evaluation.Line("stage", "bctlib", timing))
