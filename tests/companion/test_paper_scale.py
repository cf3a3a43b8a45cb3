"""The paper's own data as the data of a scale: shares, recipes, protocols, measures, and what is said without them."""

from dataclasses import replace
from types import SimpleNamespace

import ijbc_fixture
import numpy as np
import pytest
import torch
from real_layouts import write_identity_folders, write_ijbc, write_market1501
from tiny import tiny_recipe

from bctlib.base.errors import BctError, UsageError
from bctlib.data.paper.ijbc import ijbc_protocols, read_ijbc_meta
from bctlib.data.paper.layouts import person_images
from bctlib.data.photos.index import index_folder
from bctlib.data.photos.sets import ijbc_pool, image_folder_set
from bctlib.data.templates import template_embeddings, templates_by_media
from bctlib.metrics.verification import tar_at_far
from bctlib.models import MODELS
from bctlib.training.loop import train
from bctlib.upgrade.evaluate import evaluate_ijbc, evaluate_market1501
from companion.measure.reid import compare_reid
from companion.measure.run import basis, plan, require_data
from companion.measure.templates import compare, identification, pair_scores
from companion.workbench import Workbench

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path, store_folder, monkeypatch):
    """All data sets of the paper, a few images each."""
    folder = tmp_path / "paper"
    write_identity_folders(folder / "imdb-face" / "aligned", n_identities=8)
    write_ijbc(folder / "ijbc")
    write_market1501(folder / "Market-1501-v15.09.15")
    monkeypatch.setenv("BCT_PAPER_DATA", str(folder))
    return folder


@pytest.fixture
def listed(tmp_path):
    """Protocols over metadata alone, with media and scores that matter, and features of two models."""
    truth = ijbc_fixture.write_ijbc(tmp_path / "ijbc" / "meta")
    (tmp_path / "ijbc" / "aligned").mkdir()
    meta = read_ijbc_meta(tmp_path / "ijbc" / "meta")
    pool = ijbc_pool(tmp_path / "ijbc", meta.image_name, meta.landmarks)
    return ijbc_protocols(meta, pool), truth["new"], truth["old"]


def test_ijbc_s_templates_are_those_of_the_benchmark(listed):
    protocols, new, _ = listed
    meta = protocols.meta
    expected = templates_by_media(
        new, meta.image_template, meta.image_medium, len(meta.template_id), meta.detector_score
    )
    np.testing.assert_allclose(template_embeddings(new, protocols.verification.templates), expected, atol=1e-6)
    probes = protocols.identification.probes
    np.testing.assert_allclose(template_embeddings(new, probes), expected[meta.lists["probes"][0]], atol=1e-6)
    kept = probes.without(probes.identity[:1])
    assert probes.identity[0] not in kept.identity and len(kept.weight) == kept.start[-1] == len(kept.image_index)
    np.testing.assert_allclose(
        template_embeddings(new, kept), template_embeddings(new, probes)[probes.identity != probes.identity[0]]
    )


def test_what_is_written_for_glyphs_gives_the_benchmark_s_numbers_on_ijbc(listed, monkeypatch, root):
    protocols, new, old = listed
    report = evaluate_ijbc(protocols.meta, new, old, far=(1e-2, 1e-1))
    for row in identification(protocols, new, old):
        name = {"TPIR@FPIR": "TPIR", "rank": "rank"}[row.metric]
        assert row.value == pytest.approx(100 * report.value("new", "old", name, row.operating_point))
    scores = pair_scores(protocols, new, old, keep=None)
    assert scores.n_impostors == len(scores.impostor) == protocols.verification.n_impostor
    assert tar_at_far(scores.genuine, scores.impostor, 1e-2) == pytest.approx(report.value("new", "old", "TAR", 1e-2))

    bench = Workbench("paper", 0, "cpu")
    monkeypatch.setattr(bench, "protocols", lambda part="test": protocols)
    monkeypatch.setattr(bench, "pair_features", lambda query, gallery, part="test": (new, old))
    found = {(m.protocol, m.metric, m.operating_point): m for m in compare(bench, "new-bct", "old")}
    assert found["verification", "TAR@FAR", 1e-2].value == pytest.approx(100 * report.value("new", "old", "TAR", 1e-2))
    assert found["verification", "TAR@FAR", 1e-6].n_behind == protocols.verification.n_impostor
    assert found["identification", "rank", 1].value == pytest.approx(100 * report.value("new", "old", "rank", 1))
    assert found["identification", "TPIR@FPIR", 1e-2].n_behind == min(
        int((~protocols.identification.is_mated(g)).sum()) for g in (0, 1)
    )
    assert 0 < found["strict criterion", "constraints kept", "same"].value < 100
    assert not any("look-alikes" in protocol for protocol, *_ in found)
    counts = protocols.counts
    assert counts["genuine pairs"] + counts["impostor pairs"] == len(protocols.meta.pair_first)


def test_persons_are_measured_as_the_benchmark_does(root, monkeypatch):
    bench = Workbench("paper", 0, "cpu").for_task("persons")
    pool, protocol = bench.protocols().pool, bench.reid_protocol()
    (query, query_labels), (gallery, gallery_labels) = (
        person_images(root / "Market-1501-v15.09.15", part, (256, 128)) for part in ("query", "gallery")
    )
    assert [p.rsplit("/", 1)[1] for p in pool.paths] == [*query.paths, *gallery.paths]
    assert np.array_equal(pool.image(query.size), gallery.image(0))
    assert np.array_equal(protocol.camera[protocol.gallery], gallery_labels.camera)
    features = np.random.default_rng(0).normal(size=(2, pool.size, 8)).astype(np.float32)
    monkeypatch.setattr(bench, "pair_features", lambda query, gallery, part="test": tuple(features))
    report = evaluate_market1501(features[0][: query.size], features[1][query.size :], query_labels, gallery_labels)
    found = {(m.metric, m.operating_point): m.value for m in compare_reid(bench, "new-bct", "old")}
    assert found["mAP", ""] == pytest.approx(100 * report.value("new", "old", "mAP"))
    assert found["cmc", 1] == pytest.approx(100 * report.value("new", "old", "CMC", 1))
    with pytest.raises(UsageError, match="re-identification"):
        compare(bench, "new-bct", "old")


def test_shares_of_identities_are_nested_and_their_pictures_framed(root):
    data = Workbench("paper", 0, "cpu").data
    sets = {share: data.training_set(share, seed=1) for share in (0.25, 0.5, 1.0)}
    assert [len(each.classes) for each in sets.values()] == [2, 4, 8]
    assert set(sets[0.25].classes) < set(sets[0.5].classes) < set(sets[1.0].classes)
    images, labels = next(sets[1.0].batches(torch.arange(5), 5))
    assert images.shape == (5, 3, 112, 112) and labels.tolist() == [0, 0, 0, 1, 1]
    persons = Workbench("paper", 0, "cpu", task="persons").data
    images, _ = next(persons.training_set(1.0, 0).batches(torch.arange(2), 2))
    assert images.shape == (2, 3, 256, 128)
    assert data.n_images(0.5) == 12 and data.n_identities == 8


def test_recipes_name_data_and_task(root):
    faces, persons = (Workbench("paper", 0, "cpu", task=task) for task in ("faces", "persons"))
    before = {name: faces.recipe(name) for name in MODELS}
    assert all(recipe.old == (before[MODELS[name].old].key if MODELS[name].old else None)
               for name, recipe in before.items())  # fmt: skip
    assert before["old"].key != persons.recipe("old").key and before["old"].backbone == "resnet101"
    assert before["new-deep"].backbone == "resnet152" and before["old"].distortion["mirror"] == 0
    again = Workbench("paper", 0, "cpu")
    assert again.recipe("new-bct") == before["new-bct"] and again.recipe("new-bct") != Workbench("paper", 1).recipe(
        "new-bct"
    )
    assert faces.for_task("faces") is faces and Workbench("smoke").for_task("persons").task == "faces"
    assert faces.distinct is None


def test_image_files_train_in_the_one_loop(tmp_path, store_folder):
    write_identity_folders(tmp_path / "faces")
    data = image_folder_set(index_folder(tmp_path / "faces"), workers=0)
    recipe = tiny_recipe(backbone="resnet18", epochs=1, batch=12, rate=1e-4)
    one, two = (train(recipe, data, None, CPU) for _ in range(2))
    assert one.losses == two.losses and one.classes == data.classes and np.isfinite(one.losses).all()
    weights = [model.backbone.embed.weight for model in (one, two)]
    assert torch.equal(*weights)


@pytest.mark.parametrize("missing", ["imdb-face", "ijbc"])
def test_absent_data_are_said_before_any_training(root, missing):
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(UsageError, match=f"(IMDB-Face|IJB-C).*{root}.*BCT_PAPER_DATA.*data check") as caught:
        Workbench("paper", 0, "cpu").model("old")
    assert caught.value.exit_code == 2 and str(caught.value).count("(") == 1  # only what is missing is named
    with pytest.raises(UsageError):
        require_data(["table1"], "paper")
    require_data(["table5"], "paper", "persons")


def test_a_missing_test_image_is_found_before_training(root, monkeypatch):
    (root / "ijbc" / "loose_crop" / "7.jpg").unlink()
    monkeypatch.setattr("bctlib.training.store.train", lambda *args: pytest.fail("trained"))
    with pytest.raises(BctError, match=r"7\.jpg"):
        Workbench("paper", 0, "cpu").model("new-bct")


def test_tables_that_need_validation_identities_are_refused(root):
    with pytest.raises(UsageError, match="tradeoff.*validation"):
        require_data(["table1", "tradeoff"], "paper")
    with pytest.raises(UsageError, match="validation"):
        Workbench("paper", 0, "cpu").protocols("validation")
    require_data(["tradeoff"], "smoke")


def test_a_plan_needs_no_data(tmp_path, monkeypatch, store_folder):
    monkeypatch.setenv("BCT_PAPER_DATA", str(tmp_path / "nowhere"))
    planned = {model.name: model for model in plan(("new-bct", "new-deep"), "paper", [0], device="cpu")}
    assert planned["old"].estimated_s == pytest.approx(0.5 * 1_700_000 * 16 / 2000)
    assert planned["new-deep"].estimated_s > planned["new-bct"].estimated_s and not planned["old"].cached
    said = basis(planned.values(), "paper")
    assert "2,000 images/s, one GPU, resnet101 and 1,400 images/s, one GPU, resnet152: guesses, not measured" in said
    assert "1,700,000 images (published counts" in said and basis([], "paper") == ""
    persons = plan(("old",), "paper", [0], "persons", "cpu")[0]
    assert 0 < persons.estimated_s < planned["old"].estimated_s


def test_a_plan_counts_the_images_at_hand(root):
    planned = plan(("new*",), "paper", [0], device="cpu")
    assert planned[0].estimated_s == pytest.approx(24 * 16 / 2000)
    assert "24 images (the data found)" in basis(planned, "paper")


def test_every_source_times_a_model_on_its_own_images(root, monkeypatch):
    model = SimpleNamespace(embed=lambda batch: batch.mean((2, 3)))
    for task in ("faces", "persons"):
        embed, n_images = Workbench("paper", 0, "cpu", task=task).data.embedding(model, 3, CPU)
        assert n_images == 3 and embed().shape == (3, 3)
    monkeypatch.setattr("companion.sources.glyph_data.embed_images", lambda model, images, device: images)
    data = Workbench("smoke", 0, "cpu").data
    embed, n_images = data.embedding(model, 5, CPU)
    assert n_images == 5 and np.array_equal(embed(), data.protocols().pool.images[:5])
    embed, n_images = data.embedding(model, 10**9, CPU)
    assert n_images == len(embed()) == data.protocols().pool.size


def test_a_gallery_without_non_mated_searches_is_found_before_training(listed):
    protocols = listed[0]
    probes = protocols.meta.lists["probes"]
    both = np.isin(probes[1], protocols.meta.lists["G1"][1])
    lists = protocols.meta.lists | {"probes": tuple(each[both] for each in probes)}
    with pytest.raises(BctError, match="all of the subjects of ijbc_1N_probe_mixed.csv are in ijbc_1N_gallery_G1"):
        ijbc_protocols(replace(protocols.meta, lists=lists), protocols.pool)
