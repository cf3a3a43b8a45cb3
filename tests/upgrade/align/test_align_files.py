"""A map saved and loaded again, damaged, and used for what it is not for."""

import json

import numpy as np
import pytest
from damage import flip
from feature_pairs import IDS, pairs, refused, unit
from safetensors import safe_open
from safetensors.numpy import save_file

from bctlib.base.files import seal
from bctlib.upgrade.align import Map, fit
from bctlib.upgrade.align.kinds import KINDS

NEW, OLD = pairs()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "map.safetensors"
    fit(NEW, OLD, "ridge", **IDS).save(path)
    return path


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {}) for kind in KINDS),
        ("lambda-orthogonal", {"strength": np.inf}),
        ("span-filter", {"head": unit(OLD[:30]), "strength": 0}),
        ("midpoint", {"of": "diagonal", "weight": 0.25}),
    ],
)
def test_a_loaded_map_is_the_saved_one(tmp_path, kind, options):
    made = fit(NEW, OLD, kind, **options, **IDS)
    made.save(str(tmp_path / "map.safetensors"))
    read = Map.load(tmp_path / "map.safetensors")
    for name in ("kind", "new", "old", "pairs", "strength", "chosen_on", "of", "weight", "digest"):
        assert getattr(read, name) == getattr(made, name), name
    other = {"old_queries": OLD} if kind == "midpoint" else {}
    assert (read.apply(NEW, "v2", **other) == made.apply(NEW, "v2", **other)).all()
    assert {path.name for path in tmp_path.iterdir()} == {"map.safetensors", "map.safetensors.sha256"}


def test_the_file_says_what_the_map_is_for(saved):
    with safe_open(saved, "np") as file:
        about = json.loads(file.metadata()["bctlib"])
        assert file.get_tensor("matrix").shape == (12, 12)
    chosen = "40 of 400 pairs, 0.1 of the pairs drawn with seed 0"
    expected = {"kind": "ridge", "direction": "new -> old", "new": "v2", "old": "v1", "pairs": 400, "chosen_on": chosen}
    assert expected.items() <= about.items()
    assert about["digest"] == Map.load(saved).digest and len(about["digest"]) == 64


def test_the_digest_covers_values_and_ids():
    made = fit(NEW, OLD, "orthogonal", **IDS)
    assert made.digest == fit(NEW, OLD, "orthogonal", **IDS).digest
    assert made.digest != fit(NEW, OLD, "orthogonal", new_id="v3", old_id="v1").digest
    assert made.digest != fit(NEW[1:], OLD[1:], "orthogonal", **IDS).digest


@pytest.mark.parametrize("position", [0.0, 0.02, 0.3, 0.7, 1.0])
def test_a_damaged_file_is_refused(saved, position):
    flip(position)(saved)
    refused(lambda: Map.load(saved), "map.safetensors is damaged: its sha256 is not the one in")


def test_missing_unfinished_and_cut_files_are_refused(saved, tmp_path):
    refused(lambda: Map.load(tmp_path / "gone.safetensors"), "gone.safetensors is not there, expected a saved map")
    refused(lambda: Map.load(tmp_path), "is not there, expected a saved map")
    saved.write_bytes(saved.read_bytes()[:-9])
    refused(lambda: Map.load(saved), "is damaged")
    saved.with_name("map.safetensors.sha256").unlink()
    refused(lambda: Map.load(saved), "is unfinished or its marker map.safetensors.sha256 is damaged")


def rewritten(path, about=None, **arrays):
    """The same map with something else in it, sealed as if it were right."""
    with safe_open(path, "np") as file:
        old = json.loads(file.metadata()["bctlib"])
        tensors = {name: file.get_tensor(name) for name in file.keys()} | arrays
    metadata = {"bctlib": json.dumps(old | (about or {}))}
    seal(path, lambda temporary: save_file(tensors, temporary, metadata))


@pytest.mark.parametrize(
    ("about", "arrays", "said"),
    [
        ({"direction": "old -> new"}, {}, "its direction is 'old -> new', expected 'new -> old'"),
        ({"new": "v1", "old": "v2"}, {}, "its digest is not that of its content"),
        ({}, {"matrix": np.eye(12, dtype=np.float32)}, "its digest is not that of its content"),
        ({}, {"matrix": np.eye(12)}, "it holds float64 (12, 12)"),
        ({}, {"bias": np.zeros(3, np.float32)}, "and float32 (3,)"),
        ({}, {"bias": np.full(12, np.nan, np.float32)}, "its values are not finite"),
        ({"format": "bctlib-map-2"}, {}, "expected a file of format bctlib-map-1"),
        ({"more": 1}, {}, "expected a file of format bctlib-map-1"),
        ({"kind": "rigde"}, {}, "its kind is 'rigde'"),
        ({"kind": "midpoint"}, {}, "its kind is 'midpoint', its weight None"),
        ({"pairs": "many"}, {}, "its pairs is 'many'"),
    ],
)
def test_a_file_with_other_content_is_refused(saved, about, arrays, said):
    rewritten(saved, about, **arrays)
    refused(lambda: Map.load(saved), said)


def test_another_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    seal(path, lambda temporary: save_file({"weight": np.ones(3, np.float32)}, temporary))
    refused(lambda: Map.load(path), "weights.safetensors is not a map of this version")


@pytest.mark.parametrize(
    ("model", "gallery", "said"),
    [
        ("v1", None, "this map leads from 'v2' to 'v1' and not back: features of 'v1' are in the old space already"),
        ("v1", "v2", "this map leads from 'v2' to 'v1' and not back"),
        ("v3", None, "this map leads from 'v2' to 'v1': features of 'v3' cannot be mapped by it"),
        ("v2", "v3", "this map leads from 'v2' to 'v1': a gallery of 'v3' cannot be searched through it"),
        ("v2", "v2", "this map leads from 'v2' to 'v1': a gallery of 'v2' cannot be searched through it"),
    ],
)
def test_a_map_in_the_wrong_direction_or_for_other_models_is_refused(saved, model, gallery, said):
    made = Map.load(saved)
    refused(lambda: made.apply(NEW, model, gallery), said)
    refused(lambda: made.check(model, gallery), said)
    made.check("v2", "v1")


def broken(value):
    rows = NEW.copy()
    rows[399] = value
    return rows


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (NEW[:, :9], "features has 9 dimensions: this map expects 12, those of 'v2'"),
        (NEW[0], "features holds an array of shape (12,)"),
        (NEW[:0], "features holds an array of shape (0, 12)"),
        (broken(np.nan), "features: row 399 holds NaN, infinite or overflowing values"),
        (broken(-np.inf), "features: row 399 holds NaN"),
        (broken(1e300), "features: row 399 holds NaN, infinite or overflowing"),
        (broken(0), "features: row 399 is all zeros, which has no direction"),
        (NEW.astype(complex), "expected real numbers"),
    ],
)
def test_features_that_cannot_be_mapped(saved, features, said):
    refused(lambda: Map.load(saved).apply(features, "v2"), said)


def test_large_features_are_mapped_in_blocks(saved, monkeypatch):
    """As a whole, and rows that are counted from the beginning of the file."""
    made, rows = Map.load(saved), np.tile(NEW, (5, 1))
    whole = made.apply(rows, "v2")
    monkeypatch.setattr("bctlib.metrics.blocks.BLOCK_ELEMENTS", 12 * 50)
    assert np.abs(made.apply(rows, "v2") - whole).max() < 1e-6
    rows[1234] = 0
    refused(lambda: made.apply(rows, "v2"), "features: row 1234 is all zeros")


def test_old_queries_belong_to_a_midpoint():
    ridge, middle = fit(NEW, OLD, "ridge", **IDS), fit(NEW, OLD, "midpoint", **IDS)
    refused(lambda: ridge.apply(NEW, "v2", old_queries=OLD), "a map of kind ridge takes no old_queries")
    refused(lambda: middle.apply(NEW, "v2"), "a midpoint map needs old_queries too")
    refused(
        lambda: middle.apply(NEW, "v2", old_queries=OLD[1:]), "old_queries has 399 rows: expected 400, one for each"
    )
    refused(
        lambda: middle.apply(NEW, "v2", old_queries=OLD[:, :5]), "old_queries has 5 dimensions: this map expects 12"
    )
    zero = OLD.copy()
    zero[3] = 0
    refused(lambda: middle.apply(NEW, "v2", old_queries=zero), "old_queries: row 3 is all zeros")
