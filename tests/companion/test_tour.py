"""The tour: the draw knows no model, ranks agree with a loop, results give the figure back, the cost is a product."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic_glyphs import synthetic_glyphs
from tiny import row

from bctlib.base.errors import BctError
from bctlib.data.protocols import GlyphProtocols, glyph_protocols
from companion.figures.drawn import diagrams, hits
from companion.measure import examples
from companion.measure.speed import ALL, EMBEDDING, IMAGES_PER_S, SPEED_TABLE
from companion.results import load_rows, save_rows
from companion.tables.cells import View
from companion.tables.shown import costs
from companion.workbench import Workbench


@pytest.fixture(scope="module")
def protocols() -> GlyphProtocols:
    return glyph_protocols(
        synthetic_glyphs(n_identities=24, n_typefaces=12), np.arange(24), seed=3, probe_sizes=(2, 1, 1, 1)
    )


@dataclass
class Bench:
    """A workbench whose models are given as functions from the pool to features."""

    known: GlyphProtocols
    models: dict = field(default_factory=dict)
    scale: str = "smoke"
    seed: int = 0
    about = Workbench.about

    def protocols(self):
        return self.known

    def pair_features(self, query, gallery):
        return tuple(self.models[name](self.known.pool).astype(np.float32) for name in (query, gallery))

    def model(self, name):
        training = SimpleNamespace(device="cpu: test, 1 thread", versions="v", commit="c", seconds=1.0)
        return SimpleNamespace(training=training)


def knows(pool):
    return np.eye(24)[pool.identity]


def shifted(pool):
    """Right about every identity, but in directions of its own."""
    return np.eye(24)[(pool.identity + 1) % 24]


def noise(seed):
    return lambda pool: np.random.default_rng(seed).normal(size=(pool.size, 24))


@pytest.fixture
def bench(protocols, tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setattr(examples, "Workbench", lambda scale, device: Bench(protocols))
    return Bench(protocols, {"old": knows, "new*": shifted, "new-bct-sys": knows})


def test_ranks_agree_with_a_loop_over_all_pairs():
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(9, 5)).astype(np.float32)
    query_identity, gallery_identity = rng.integers(0, 9, 7), rng.permutation(9)
    scores = examples.cosines(queries, gallery)
    order, ranks = examples.rank_gallery(scores), examples.mate_ranks(scores, query_identity, gallery_identity)
    for i, query in enumerate(queries):
        by_hand = [float(query @ row / np.linalg.norm(query) / np.linalg.norm(row)) for row in gallery]
        assert np.allclose(scores[i], by_hand, atol=1e-6)
        expected = sorted(range(9), key=lambda place: -by_hand[place])
        assert order[i].tolist() == expected
        assert ranks[i] == 1 + [gallery_identity[place] for place in expected].index(query_identity[i])


def test_ties_stay_in_the_order_of_the_gallery():
    assert examples.rank_gallery(np.array([[0.5, 0.9, 0.5, 0.9]])).tolist() == [[1, 3, 0, 2]]


def test_one_gallery_picture_per_identity_and_queries_from_the_other_side(protocols):
    drawn, pool = examples.draw_examples(protocols, 5), protocols.pool
    assert len(set(drawn.gallery_identity.tolist())) == examples.N_GALLERY
    for pictures, identities, side in (
        (drawn.gallery, drawn.gallery_identity, 1),
        (drawn.queries, drawn.query_identity, 0),
        (drawn.searches, drawn.search_identity, 0),
    ):
        assert pool.identity[pictures].tolist() == identities.tolist()
        assert np.isin(pool.typeface[pictures], protocols.typefaces[side]).all()
    assert set(drawn.queries) <= set(drawn.searches)
    assert set(drawn.query_identity) <= set(drawn.gallery_identity)


def test_fewer_queries_are_the_first_of_more_and_the_gallery_stays(protocols):
    few, many = (examples.draw_examples(protocols, n) for n in (2, 9))
    assert few.queries.tolist() == many.queries[:2].tolist()
    assert few.gallery.tolist() == many.gallery.tolist()


@pytest.mark.parametrize("n_queries", [0, 17])
def test_a_count_of_queries_that_the_gallery_cannot_have_is_refused(protocols, n_queries):
    with pytest.raises(BctError, match=f"'n_queries' is {n_queries}, expected 1 to 16"):
        examples.draw_examples(protocols, n_queries)


def test_too_few_identities_for_a_gallery_are_said(protocols):
    with pytest.raises(BctError, match="needs 25 identities .* there are 24"):
        examples.draw_examples(protocols, 2, n_gallery=25)


def test_queries_and_gallery_do_not_depend_on_the_models(bench):
    asked = []
    for seed in (1, 2):
        bench.models = {name: noise(seed * 10 + i) for i, name in enumerate(("old", "new*", "new-bct-sys"))}
        examples.save_examples(bench, 4)
        rows = load_rows("smoke", examples.TABLE)
        rows = rows[rows["metric"] == "cosine"]
        asked.append((rows[["protocol", "operating_point"]].to_numpy().tolist(), rows["value"].tolist()))
    assert asked[0][0] == asked[1][0]
    assert asked[0][1] != asked[1][1]


def test_saved_examples_and_hits_by_hand(bench):
    examples.save_examples(bench, 5)
    saved = examples.load_retrievals("smoke")
    same = saved.examples.query_identity[:, None] == saved.examples.gallery_identity
    assert np.array_equal(saved.cosines["old", "old"], same)
    next_one = (saved.examples.query_identity[:, None] + 1) % 24 == saved.examples.gallery_identity
    assert np.array_equal(saved.cosines["new*", "old"], next_one)
    table = costs.hits_table(View("smoke"))
    assert table.loc["(new-bct-sys, old)"].tolist() == ["5 of 5", "100.0", "100.0"]
    # Of 16 in the small gallery; of 12 in each of the two galleries.
    assert table.loc["guessing"].tolist() == ["–", "6.2", "8.3"]


def test_fewer_queries_than_were_saved_are_shown_when_asked_for(bench):
    examples.save_examples(bench, 5)
    examples.save_examples(bench, 3)  # results are only added to
    assert costs.hits_table(View("smoke")).loc["(old, old)"].iloc[0] == "5 of 5"
    table = costs.hits_table(View("smoke"), n_queries=3)
    assert table.loc["(old, old)"].iloc[0] == "3 of 3" and table.columns[0] == "the 3 shown"
    every, few = (examples.load_retrievals("smoke", n_queries=n) for n in (None, 3))
    assert few.examples.queries.tolist() == every.examples.queries[:3].tolist()
    with pytest.raises(BctError, match="lack cosines"):
        examples.load_retrievals("smoke", n_queries=6)


def test_results_without_the_cosines_of_a_pair_are_refused(bench):
    examples.save_examples(bench, 2)
    rows = load_rows("smoke", examples.TABLE)
    with pytest.raises(BctError, match="lack cosines"):
        examples._saved(rows[rows["query_model"] != "old"], ("old", "old"), examples.draw_examples(bench.known, 2))


def test_the_figure_is_redrawn_from_results_with_the_same_bytes(bench, tmp_path):
    examples.save_examples(bench, 2)
    drawn = []
    for _ in range(2):
        hits.plot_retrieval(View("smoke"))
        drawn.append([(tmp_path / "figures/smoke" / f"tour_retrieval.{kind}").read_bytes() for kind in ("pdf", "png")])
    assert drawn[0] == drawn[1]


def test_diagrams_are_drawn_without_data(bench, tmp_path):
    diagrams.plot_update("smoke")
    diagrams.plot_influence_loss("smoke")
    drawn = {path.name for path in (tmp_path / "figures/smoke").glob("*.png")}
    assert drawn == {"model_update.png", "influence_loss.png"}


def test_a_backfill_takes_images_times_seconds_per_image(tmp_path, monkeypatch):
    """2,000 images a second: 500 s; 50,000 s; 500,000 s."""
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    speed = {"protocol": EMBEDDING, "metric": IMAGES_PER_S, "operating_point": ALL, "value": 2000}
    save_rows([row(**speed)], "smoke", SPEED_TABLE)
    assert costs.backfill_cost_table("smoke")["backfill"].tolist() == ["8.33 minutes", "13.9 hours", "5.79 days"]
    assert costs.duration(59) == "59 seconds"
    assert costs.duration(3600) == "1 hour" and costs.duration(365.25 * 86400 * 2) == "2 years"
