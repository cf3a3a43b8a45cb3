"""The query filter: its formula by hand, its choice on validation identities alone, and its table."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import row

from companion.measure.mapped import query_filter
from companion.measure.mapped.query_filter import STRENGTH, STRENGTHS, compare_filtered
from companion.measure.templates import Measurement
from companion.results import save_rows
from companion.tables.cells import View
from companion.tables.shown.query_filter import filter_table

RNG = np.random.default_rng(0)


class Bench:
    """Embeddings of random numbers; the head uses three of four directions."""

    head = np.eye(4)[[0, 0, 1, 2]] * 3
    data = SimpleNamespace(parts=("test", "validation"))

    def model(self, name):
        return SimpleNamespace(as_old=lambda: SimpleNamespace(head=SimpleNamespace(weight=torch.tensor(self.head))))

    def pair_features(self, query, gallery, part):
        return np.full((2, 4), 2.0), np.eye(4)[:2]

    def protocols(self, part):
        return part


@pytest.fixture
def seen(monkeypatch):
    """The filtered queries that are measured; on validation the best keeps 0.85 of direction 1."""
    queries = []

    def measured(protocols, query, gallery, metric, point):
        queries.append((protocols, query))
        value = 100 - abs(query[0, 1] / query[0, 0] - 0.85) if protocols == "validation" else 7.0
        return [Measurement("verification", metric, point, value, 10)]

    monkeypatch.setattr(query_filter, "verification", lambda *given: measured(*given, "TAR@FAR", 1e-4))
    monkeypatch.setattr(query_filter, "identification", lambda *given: measured(*given, "TPIR@FPIR", 1e-2))
    return queries


def test_the_filter_is_q_c_times_the_inverse_of_c_and_e(seen):
    *rows, chosen = compare_filtered(Bench(), "new-bct", "old")
    assert chosen.metric == STRENGTH and chosen.value in STRENGTHS and [each.value for each in rows] == [7, 7]
    moment = np.diag([0.5, 0.25, 0.25, 0])
    by_hand = np.full(4, 2.0) @ moment @ np.linalg.inv(moment + chosen.value / 4 * np.eye(4))
    np.testing.assert_allclose(seen[-1][1][0], by_hand, rtol=1e-6)
    assert by_hand[3] == 0, "what the old head does not use is removed"


def test_strength_0_changes_no_query_in_the_span(seen, monkeypatch):
    monkeypatch.setattr(query_filter, "STRENGTHS", (0.0,))
    bench, queries = Bench(), RNG.normal(size=(5, 4)) * [[1], [2], [3], [4], [5]]
    bench.head = RNG.normal(size=(9, 4))
    bench.pair_features = lambda query, gallery, part: (queries, np.eye(4)[:2])
    compare_filtered(bench, "new-bct", "old")
    np.testing.assert_allclose(seen[-1][1], queries, rtol=1e-5, atol=1e-5)


def test_the_strength_is_chosen_on_validation_identities(seen):
    compare_filtered(Bench(), "new-bct", "old")
    parts = [part for part, _ in seen]
    assert parts == ["validation"] * 2 * len(STRENGTHS) + ["test"] * 2
    ratios = {part: [query[0, 1] / query[0, 0] for each, query in seen if each == part] for part in parts}
    assert abs(ratios["test"][0] - 0.85) == min(abs(ratio - 0.85) for ratio in ratios["validation"])


def test_without_validation_identities_the_strength_is_fixed(seen):
    bench = Bench()
    bench.data = SimpleNamespace(parts=("test",))
    *_, chosen = compare_filtered(bench, "new-bct", "old")
    assert chosen.value == query_filter.UNTUNED and {part for part, _ in seen} == {"test"}


def test_re_identification_chooses_its_own_strength_by_map_on_validation(monkeypatch):
    seen = []

    def retrieval(protocol, queries, items):
        seen.append(protocol)
        value = 100 - abs(queries[0, 1] / queries[0, 0] - 0.85) if protocol == "validation" else 7.0
        return [Measurement("reid", "mAP", "", value, 10)]

    monkeypatch.setattr(query_filter, "retrieval", retrieval)
    monkeypatch.setattr(query_filter, "bench_reid_protocol", lambda bench, part: part)
    bench = Bench()
    bench.for_task = lambda task: bench if task == "persons" else None
    measured, chosen = query_filter.compare_filtered_reid(bench, "new-bct", "old")
    assert measured.value == 7 and seen == ["validation"] * len(STRENGTHS) + ["test"]
    moment = np.diag([0.5, 0.25])
    kept = {e: np.diag(moment @ np.linalg.inv(moment + e / 4 * np.eye(2))) for e in STRENGTHS}
    assert chosen.value == min(STRENGTHS, key=lambda e: abs(kept[e][1] / kept[e][0] - 0.85))


def test_the_table_pairs_with_and_without(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    for table, query, values in (
        ("table1", "old", (60, 50)),
        ("table1", "new-bct", (61, 49)),
        ("filtered", "new-bct", (63, 52)),
    ):
        rows = [
            row(query_model=query, gallery_model="old", seed=seed, value=value) for seed, value in enumerate(values)
        ]
        save_rows(rows, "smoke", table)
    strengths = {"protocol": "filter", "metric": STRENGTH, "operating_point": "", "gallery_model": "old"}
    save_rows([row(**strengths, seed=seed, value=value) for seed, value in enumerate((0.1, 0.03))], "smoke", "filtered")
    (line,) = filter_table("filtered", View("smoke")).to_dict("records")
    assert line["without"].startswith("55.0") and line["difference"].startswith("+2.5")
    assert line["Eq. 2, filtered"] == "yes" and line["strength"] == "0.03, 0.1"
