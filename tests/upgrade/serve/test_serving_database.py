"""The page's examples of a live upgrade run as they stand, and the vector database agrees with the live index."""

import numpy as np
import pytest
from pages import blocks

from bctlib.metrics.blocks import prefix
from bctlib.upgrade.serve.live_index import LiveIndex

LIVE_INDEX, DATABASE = blocks("docs/live-upgrade.md", "python")
rng = np.random.default_rng(0)
OLD, NEW = rng.normal(size=(40, 128)).astype(np.float32), rng.normal(size=(40, 256)).astype(np.float32)
QUERIES = rng.normal(size=(6, 256)).astype(np.float32)


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    items = list(range(100, 140))
    return {
        "items": items, "classes": [item // 4 for item in items], "old_vectors": OLD, "new_vectors": NEW,
        "query_vectors": QUERIES,
    }  # fmt: skip


def test_the_index_of_the_page(names, tmp_path):
    exec(LIVE_INDEX, names)
    index = names["index"]
    assert index.models == {"old": 38, "new": 2} and names["hits"].items.shape == (6, 5)
    assert LiveIndex.load(tmp_path / "gallery.index").models == index.models


def test_the_vector_database_of_the_page_finds_what_the_index_finds(names, capsys):
    exec(DATABASE, names)
    assert capsys.readouterr().out == "still to backfill: 38 of 40\n"
    exec(LIVE_INDEX, names)
    for made_by, answer in ((None, names["found"]), ("old", names["left"])):
        hits = names["index"].search(QUERIES[:1], "new", k=5, made_by=made_by)
        assert [each.id for each in answer] == hits.items[0].tolist()
        assert [each.score for each in answer] == pytest.approx(hits.scores[0].tolist(), abs=1e-5)
        assert [each.payload["class"] for each in answer] == hits.classes[0].tolist()
        assert [each.payload["model"] for each in answer] == hits.made_by[0].tolist()
    # A query by the vector of a replaced item finds it under the new model.
    first = names["client"].query_points("gallery", prefix(NEW[:1], 128)[0], limit=1).points[0]
    assert (first.id, first.payload["model"]) == (100, "new")
