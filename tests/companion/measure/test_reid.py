"""Re-identification (Table 5): the protocol's promises, the measure against scikit-learn, the table by hand."""

from pkgutil import resolve_name

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from synthetic_glyphs import synthetic_glyphs

from bctlib.base.errors import BctError
from bctlib.data.protocols import glyph_protocols
from bctlib.data.templates import ImagePool
from bctlib.data.variants import ReidProtocol, reid_protocol
from companion.experiments import find_experiment, find_table
from companion.figures import dots
from companion.measure.reid import best_hits, compare_reid, retrieval, shown_queries
from companion.results import point_text, save_rows
from companion.tables import tables
from companion.tables.cells import View


def pool_of(identity: list[int], typeface: list[int]) -> ImagePool:
    n = len(identity)
    return ImagePool(np.array(identity), np.array(typeface), np.zeros(n, np.int64), np.zeros((n, 4, 4), np.uint8))


@pytest.fixture(scope="module")
def pool() -> ImagePool:
    return glyph_protocols(synthetic_glyphs(20, 12, 8), np.arange(20), seed=1).pool


@pytest.fixture(scope="module")
def protocol(pool) -> ReidProtocol:
    return reid_protocol(pool, seed=3)


def test_queries_and_gallery_part_the_pool(pool, protocol):
    assert not np.intersect1d(protocol.query, protocol.gallery).size
    assert np.array_equal(np.union1d(protocol.query, protocol.gallery), np.arange(pool.size))
    assert len(protocol.query) == protocol.counts["queries"] == 4 * 20
    assert protocol.counts["gallery images"] == pool.size - 4 * 20


def test_an_identity_gives_one_query_per_typeface_and_every_query_has_a_right_answer(pool, protocol):
    seen = set(zip(pool.identity[protocol.query], pool.typeface[protocol.query], strict=True))
    assert len(seen) == len(protocol.query)
    for number, own in enumerate(protocol.query):
        allowed = protocol.allowed(number)
        right = pool.identity[allowed] == pool.identity[own]
        assert right.any() and (pool.typeface[allowed][right] != pool.typeface[own]).all()
        assert (pool.typeface[allowed] == pool.typeface[own]).any()  # of other identities, as wrong answers


def test_the_seed_alone_decides(pool, protocol):
    again, other = reid_protocol(pool, seed=3), reid_protocol(pool, seed=4)
    assert np.array_equal(again.query, protocol.query) and np.array_equal(again.gallery, protocol.gallery)
    assert not np.array_equal(other.query, protocol.query)


def test_an_identity_of_few_typefaces_gives_fewer_queries_and_one_of_a_single_typeface_none():
    pool = pool_of([0, 0, 0, 1, 1, 1, 2, 2], [5, 5, 6, 5, 6, 7, 5, 5])
    protocol = reid_protocol(pool, seed=0)
    assert pool.identity[protocol.query].tolist() == [0, 1, 1]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(BctError, match="none of the pool's 2 identities"):
        reid_protocol(pool_of([0, 0, 1], [5, 5, 6]), seed=0)
    with pytest.raises(BctError, match="queries is 0"):
        reid_protocol(pool_of([0, 0], [5, 6]), seed=0, queries=0)


def by_brute_force(protocol: ReidProtocol, query: np.ndarray, gallery: np.ndarray) -> tuple[float, dict[int, float]]:
    precisions, firsts = [], []
    for number, own in enumerate(protocol.query):
        rows = protocol.allowed(number)
        unit = gallery[rows] / np.linalg.norm(gallery[rows], axis=1, keepdims=True)
        scores, right = unit @ query[own], protocol.identity[rows] == protocol.identity[own]
        precisions.append(average_precision_score(right, scores))
        firsts.append(1 + np.count_nonzero(scores[~right] >= scores[right].max()))
    return np.mean(precisions), {rank: np.mean(np.array(firsts) <= rank) for rank in (1, 5, 10)}


def test_the_measure_is_that_of_scikit_learn_query_by_query(pool, protocol):
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(20, 8))
    query, gallery = (
        (centre[pool.identity] + spread * rng.normal(size=(pool.size, 8))).astype(np.float32) for spread in (1, 2)
    )
    found = {(each.metric, each.operating_point): each for each in retrieval(protocol, query, gallery)}
    precision, shares = by_brute_force(protocol, query, gallery)
    assert found["mAP", ""].value == pytest.approx(100 * precision, abs=1e-4)
    assert 0 < found["mAP, trapezoid", ""].value < found["mAP", ""].value
    assert {rank: found["cmc", rank].value for rank in shares} == pytest.approx({k: 100 * v for k, v in shares.items()})
    assert {each.n_behind for each in found.values()} == {len(protocol.query)}
    assert {each.protocol for each in found.values()} == {"reid"}


def test_the_query_model_embeds_the_queries_and_the_gallery_model_the_gallery(protocol):
    one_hot = np.eye(int(protocol.identity.max()) + 1, dtype=np.float32)[protocol.identity]
    spoiled = one_hot.copy()
    spoiled[protocol.gallery] = np.roll(one_hot, 1, axis=1)[protocol.gallery]
    perfect = {each.metric: each.value for each in retrieval(protocol, spoiled, one_hot)}
    assert set(perfect.values()) == {100.0}  # the query model's gallery features count for nothing
    assert retrieval(protocol, one_hot, spoiled)[0].value < 50


def test_table_5_shows_what_the_measure_gives(protocol):
    spec = find_table("table5")
    assert resolve_name(find_experiment("table5").measure) is compare_reid
    rows = retrieval(protocol, *(np.ones((len(protocol.identity), 2), np.float32),) * 2)
    assert {(row.metric, point_text(row.operating_point)) for row in rows} == {
        (metric, point) for metric, points in spec.points.items() for point in points
    }


MAP = {  # two seeds each
    ("old", "old"): (50.0, 52.0), ("old", "new*"): (1.0, 1.0), ("old", "new-bct"): (55.0, 57.0),
    ("new*", "old"): (1.0, 2.0), ("new-bct", "old"): (51.0, 51.0), ("new-bct", "new-bct"): (69.0, 71.0),
    ("new*", "new*"): (70.0, 72.0),
}  # fmt: skip


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path / "figures"))
    about = {"method": "bct", "device": "cpu: test, 1 thread", "versions": "v", "commit": "c", "seconds": 1.0}
    rows = [
        about | {
            "seed": seed, "query_model": query, "gallery_model": gallery, "protocol": "reid", "metric": metric,
            "operating_point": point, "value": value - (metric == "mAP, trapezoid"), "n_behind": 80,
        }
        for (query, gallery), values in MAP.items()
        for seed, value in enumerate(values)
        for metric, points in find_table("table5").points.items()
        for point in points
    ]  # fmt: skip
    save_rows(rows, "smoke", "table5")
    return tmp_path


def test_table_5_by_hand(results):
    (_, table), (_, gains), (_, contrasts) = tables.tables_of("table5", View("smoke"))
    assert list(table["Eq. 2"]) == ["–", "no", "yes", "no", "1 of 2 seeds", "–", "–"]
    assert list(table["paper: Eq. 2"]) == ["–", "no", "yes", "–", "–", "–", "–"]
    # (56 - 51) / (71 - 51); 51 is not above the mean of 50 and 52
    assert list(table["update gain"]) == ["–", "–", "25.0", "–", "–", "–", "–"]
    ours = table.loc["(old, new-bct)"]
    assert (ours["mAP"], ours["mAP, trapezoid"]) == ("56.0 ± 12.7", "55.0 ± 12.7")
    assert (ours["paper"], ours["paper: gain"], ours["paper: absolute"]) == ("45.0", "12.0", "2.1")
    assert (ours["absolute gain"], ours["direction"]) == ("+5.0 ± 0.0", "new gallery")
    assert table.loc["(new-bct, old)", "direction"] == "new query"
    assert gains.loc["(new*, new*)", "CMC-5"] == "+20.0 ± 0.0"
    cost = contrasts[contrasts["of"] == "mAP"].loc["(new-bct, new-bct) - (new*, new*)"]
    assert (cost["points"], cost["paper"]) == ("-1.0 ± 0.0", "-0.2")


def test_the_figure_of_table_5_is_drawn_from_results_alone(results):
    dots.plot_reid(View("smoke"))
    assert {path.name for path in (results / "figures/smoke").iterdir()} == {"table5_reid.pdf", "table5_reid.png"}


def test_another_lambda_than_those_measured_is_refused(results):
    with pytest.raises(BctError, match="table5 was not measured at lambda 0.5"):
        tables.tables_of("table5", View("smoke", lam=0.5))


def test_best_hits_are_those_of_a_full_sort_without_the_querys_own_camera(pool, protocol):
    rng = np.random.default_rng(5)
    query, gallery = (rng.normal(size=(pool.size, 8)).astype(np.float32) for _ in range(2))
    number = int(shown_queries(protocol)[0])
    own, unit = protocol.query[number], gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    scores = unit @ query[own]
    scores[protocol.query] = -np.inf
    scores[(pool.identity == pool.identity[own]) & (pool.typeface == pool.typeface[own])] = -np.inf
    assert best_hits(protocol, number, query, gallery, 5).tolist() == np.argsort(-scores)[:5].tolist()
