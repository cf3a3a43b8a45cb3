"""Features: computed once per model and pool, verified when read, made comparable by prefix or transform."""

import numpy as np
import pytest
import torch
from tiny import pool_of, tiny_recipe, tiny_set
from torch import nn

from bctlib.base.errors import BctError
from bctlib.base.files import is_sealed, marker, seal
from bctlib.data.distortion import normalise
from bctlib.training import features as extract
from bctlib.training.artefact import Artefact
from bctlib.training.features import comparable, embed_images, features_file, pool_features
from bctlib.training.store import fetch, forget

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("store_folder", "float32_only")


@pytest.fixture
def model() -> Artefact:
    return fetch(tiny_recipe(epochs=1), tiny_set, None, CPU)


def never(*args, **kwargs):
    raise AssertionError("the features were computed again")


def test_embeddings_of_images_one_by_one(model):
    images = pool_of(7).images
    found = embed_images(model, images, CPU, batch=3)
    assert found.dtype == np.float32 and found.shape == (7, model.dim)
    for image, row in zip(images, found, strict=True):
        alone = model.backbone(normalise(torch.from_numpy(image[None])))[0]
        np.testing.assert_allclose(row, alone, rtol=1e-4, atol=1e-5)
    assert not np.allclose(np.linalg.norm(found, axis=1), 1)  # norms are kept
    assert embed_images(model, images[:0], CPU).shape == (0, model.dim)


def test_features_are_computed_once(model, monkeypatch):
    pool = pool_of()
    first = pool_features(model, pool, CPU)
    assert is_sealed(features_file(model, pool))
    monkeypatch.setattr(extract, "embed_images", never)
    assert np.array_equal(pool_features(model, pool, CPU), first)


def test_features_belong_to_one_model_and_one_pool(model):
    other = fetch(tiny_recipe(epochs=1, seed=1), tiny_set, None, CPU)
    pools = (pool_of(), pool_of(seed=1))
    assert len({features_file(m, p) for m in (model, other) for p in pools}) == 4
    assert not np.array_equal(pool_features(model, pools[0], CPU), pool_features(model, pools[1], CPU))
    path = features_file(model, pools[0])
    forget(model.recipe)
    assert not path.exists()


def test_unfinished_features_are_computed_again(model, monkeypatch):
    pool = pool_of()

    def die(path, features):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extract, "_save", die)
        with pytest.raises(KeyboardInterrupt):
            pool_features(model, pool, CPU)
    assert not is_sealed(features_file(model, pool))
    first = pool_features(model, pool, CPU)
    marker(features_file(model, pool)).unlink()
    assert np.array_equal(pool_features(model, pool, CPU), first)


def test_damaged_features_are_refused_by_name(model):
    pool = pool_of()
    pool_features(model, pool, CPU)
    path = features_file(model, pool)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BctError, match=f"{path.name} is damaged"):
        pool_features(model, pool, CPU)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"no array"),
        lambda path: path.write_bytes(b""),
        lambda path: extract._save(path, np.zeros((3, 8), np.float32)),
        lambda path: extract._save(path, np.zeros((9, 8))),
        lambda path: np.save(path.open("wb"), np.array([{}]), allow_pickle=True),
    ],
)
def test_a_sealed_file_of_something_else_is_refused_by_name(model, write):
    pool = pool_of()
    path = features_file(model, pool)
    seal(path, write)
    with pytest.raises(BctError, match=path.name):
        pool_features(model, pool, CPU)


def test_where_the_store_cannot_be_written_one_sentence_says_so(model, store_folder, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file in the folder's place")
    monkeypatch.setenv("BCT_STORE", str(blocked))
    with pytest.raises(BctError, match="cannot write into the store"):
        pool_features(model, pool_of(), CPU)


def test_longer_query_features_are_cut_to_the_gallerys():
    query = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(comparable(query, 4), query)
    cut = comparable(query, 2)
    assert np.array_equal(cut, query[:, :2]) and cut.flags.c_contiguous
    with pytest.raises(BctError, match="4 elements, expected at least the gallery's 5"):
        comparable(query, 5)


def test_a_transform_takes_the_place_of_the_prefix():
    transform = nn.Linear(4, 2)
    query = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    expected = query @ transform.weight.detach().numpy().T + transform.bias.detach().numpy()
    np.testing.assert_allclose(comparable(query, 2, transform), expected, rtol=1e-5, atol=1e-6)
    turned = nn.Linear(4, 4, bias=False)  # also where both have as many elements
    expected = query @ turned.weight.detach().numpy().T
    np.testing.assert_allclose(comparable(query, 4, turned), expected, rtol=1e-5, atol=1e-6)
