"""From image files to numbers: features of a pool on disk, and the benchmark's report on them."""

import numpy as np
import pytest
import torch
from real_layouts import write_ijbc, write_market1501
from tiny import tiny_recipe

from bctlib.base.files import is_sealed
from bctlib.data.paper.ijbc import read_ijbc_meta
from bctlib.data.paper.layouts import person_images
from bctlib.data.photos.distortion import normalise_colour
from bctlib.data.photos.sets import ImageFilePool, ijbc_pool
from bctlib.losses import build_head
from bctlib.networks import EmbeddingNet
from bctlib.training import features as module
from bctlib.training.artefact import Artefact, Training
from bctlib.training.features import embed_files, features_file, file_features
from bctlib.upgrade.evaluate import evaluate_ijbc, evaluate_market1501

CPU = torch.device("cpu")


@pytest.fixture
def model(store_folder) -> Artefact:
    """A small colour network with random weights."""
    torch.manual_seed(0)
    trunk = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 7, 8), torch.nn.Tanh())
    recipe = tiny_recipe()
    head = build_head(recipe.head, 2, recipe.dim, **recipe.head_settings)
    about = Training(1.0, 1.0, (1.0,), "cpu", "none", "none")
    return Artefact(recipe, EmbeddingNet(trunk, 8, recipe.dim).eval(), head, ("a", "b"), about)


def test_features_of_files_are_those_of_their_images(model, tmp_path, float32_only):
    meta = read_ijbc_meta(write_ijbc(tmp_path / "ijbc") / "meta")
    pool = ijbc_pool(tmp_path / "ijbc", meta.image_name, meta.landmarks)
    features = embed_files(model, pool, CPU, batch=5, workers=2)
    assert features.shape == (16, 8) and features.dtype == np.float32
    images = normalise_colour(torch.cat(list(pool.batches(16, workers=0))))
    both = model.embed(images) + model.embed(images.flip(3))
    np.testing.assert_allclose(features, both.numpy(), rtol=1e-4, atol=1e-5)
    plain = ImageFilePool(pool.root, pool.paths, pool.framing)
    assert plain.key != pool.key
    single = embed_files(model, plain, CPU, workers=0)
    np.testing.assert_allclose(single, model.embed(images).numpy(), rtol=1e-4, atol=1e-5)


def test_features_are_stored_once(model, tmp_path, monkeypatch):
    meta = read_ijbc_meta(write_ijbc(tmp_path / "ijbc") / "meta")
    pool = ijbc_pool(tmp_path / "ijbc", meta.image_name, meta.landmarks)
    first = file_features(model, pool, CPU, workers=0)
    assert is_sealed(features_file(model, pool))
    monkeypatch.setattr(module, "embed_files", lambda *a: pytest.fail("computed again"))
    np.testing.assert_array_equal(file_features(model, pool, CPU), first)


def test_from_the_images_to_the_report_of_the_benchmark(model, tmp_path):
    root = write_ijbc(tmp_path / "ijbc")
    meta = read_ijbc_meta(root / "meta")
    features = file_features(model, ijbc_pool(root, meta.image_name, meta.landmarks), CPU, workers=0)
    assert "TAR" in evaluate_ijbc(meta, features).table()

    root = write_market1501(tmp_path / "market")
    (query, query_labels), (gallery, gallery_labels) = (
        person_images(root, part, (64, 32)) for part in ("query", "gallery")
    )
    features = [file_features(model, pool, CPU, workers=0) for pool in (query, gallery)]
    assert "mAP" in evaluate_market1501(*features, query_labels, gallery_labels).table()
