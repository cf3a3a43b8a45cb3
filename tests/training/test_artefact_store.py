"""Artefacts and the store: exact round trips, faults injected everywhere, one training per model, chains of keys."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from damage import flip
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tiny import same_weights, tiny_recipe, tiny_set
from torch import nn

from bctlib.base.errors import BctError
from bctlib.base.files import marker, seal
from bctlib.data.distortion import TrainingDistortion
from bctlib.losses import HEADS
from bctlib.training import loop, store
from bctlib.training.artefact import Artefact, load_artefact, save_artefact
from bctlib.training.recipe import Recipe
from bctlib.training.store import fetch, forget, is_trained, model_file, model_folder

CPU = torch.device("cpu")
TRAIN = Path(__file__).parents[1] / "helpers" / "train_tiny_model.py"

pytestmark = pytest.mark.usefixtures("store_folder")


def fetched(recipe: Recipe | None = None, old: Artefact | None = None) -> Artefact:
    return fetch(recipe or tiny_recipe(epochs=1), tiny_set, old, CPU)


def never():
    raise AssertionError("the model was trained again")


def same_artefact(one: Artefact, other: Artefact) -> bool:
    about = [(a.recipe, a.classes, a.training, a.head.kind, a.head.settings()) for a in (one, other)]
    return about[0] == about[1] and all(
        same_weights(getattr(one, part), getattr(other, part)) for part in ("backbone", "head")
    )


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("relu", [False, True])
def test_round_trip_is_exact(head, relu):
    settings = {"softmax": {}, "norm-softmax": {"scale": 7.5}, "cosine-margin": {"scale": 7.5, "margin": 0.15}}[head]
    recipe = tiny_recipe(
        epochs=1, head=head, head_settings=settings, relu=relu, distortion=asdict(TrainingDistortion(noise=0.05))
    )
    made = fetched(recipe)
    read = load_artefact(model_file(recipe.key))
    assert same_artefact(made, read)
    assert read.recipe == recipe and read.dim == recipe.dim and read.transform is None
    assert read.training.losses and read.training.device.startswith("cpu") and "torch" in read.training.versions
    for part in (read.backbone, read.head):
        assert not part.training and not any(p.requires_grad for p in part.parameters())
    images, _ = next(iter(tiny_set().plain_batches()))
    assert torch.equal(read.embed(images), made.embed(images))
    assert read.embed(images).dtype == torch.float32


@pytest.mark.parametrize("bias", [True, False])
def test_a_transform_travels_along(bias, tmp_path):
    torch.manual_seed(0)
    transform = nn.Linear(8, 5, bias=bias)
    made = replace(fetched(), transform=transform)
    save_artefact(tmp_path / "model.safetensors", made)
    read = load_artefact(tmp_path / "model.safetensors")
    assert same_weights(read.transform, transform) and not read.transform.weight.requires_grad


def test_the_file_is_open_to_a_reader_without_this_library():
    recipe = fetched().recipe
    with safe_open(model_file(recipe.key), "pt") as file:
        about = json.loads(file.metadata()["bctlib"])
        assert "head.weight" in file.keys() and "backbone.embed.weight" in file.keys()
    assert about["classes"] == ["a", "b", "c", "d"]
    assert about["head"] == {"kind": "cosine-margin", "classes": 4, "dim": 8, "settings": {"scale": 8.0, "margin": 0.2}}


def test_the_second_fetch_takes_the_model_from_the_store():
    recipe = tiny_recipe(epochs=1)
    assert not is_trained(recipe)
    made = fetched(recipe)
    assert is_trained(recipe)
    assert same_artefact(made, fetch(recipe, never, None, CPU))
    forget(recipe)
    assert not is_trained(recipe) and not model_folder(recipe.key).exists()
    again = fetched(recipe)
    assert same_weights(again.backbone, made.backbone) and again.training.losses == made.training.losses


def _missing_marker(path: Path) -> None:
    marker(path).unlink()


def _missing_file(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("loss", [_missing_marker, _missing_file])
def test_a_half_that_is_left_is_trained_again(loss):
    made = fetched()
    path = model_file(made.recipe.key)
    loss(path)
    assert not is_trained(made.recipe)
    assert same_weights(fetched().backbone, made.backbone)
    assert same_artefact(load_artefact(path), fetch(made.recipe, never, None, CPU))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("damage", [flip(0), flip(0.001), flip(0.5), flip(1), _cut, lambda p: p.write_bytes(b"")])
def test_damage_is_refused_by_name(damage):
    recipe = fetched().recipe
    path = model_file(recipe.key)
    damage(path)
    for read in (lambda: load_artefact(path), lambda: fetch(recipe, never, None, CPU)):
        with pytest.raises(BctError) as caught:
            read()
        assert str(path) in str(caught.value) and "damaged" in str(caught.value)


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("dump", [lambda bomb, path: path.write_bytes(pickle.dumps(bomb)), torch.save])
def test_a_pickle_under_the_models_name_is_refused_unread(dump, tmp_path):
    path, touched = tmp_path / "model.safetensors", tmp_path / "touched"
    seal(path, lambda temporary: dump(Bomb(touched), temporary))
    with pytest.raises(BctError, match=r"model\.safetensors is not a model"):
        load_artefact(path)
    assert not touched.exists()


def resealed(path: Path, **changes) -> None:
    """Write the model again with other metadata, properly sealed."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["bctlib"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    about.update(changes)
    metadata = {"bctlib": json.dumps({key: value for key, value in about.items() if value is not None})}
    seal(path, lambda temporary: save_file(tensors, temporary, metadata))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "bctlib-model-0"}, "bctlib-model-0"),
        ({"classes": None}, "classes"),
        ({"head": {"kind": "arcface", "classes": 4, "dim": 8, "settings": {}}}, "arcface"),
        ({"head": {"kind": "softmax", "classes": 4, "dim": 8, "settings": {}}}, "bias"),
        ({"head": {"kind": "norm-softmax", "classes": 5, "dim": 8, "settings": {"scale": 8.0}}}, "weight"),
        ({"recipe": "{}"}, "recipe"),
        ({"recipe": tiny_recipe(backbone="glyphnet-deep").text()}, "backbone|EmbeddingNet"),
        ({"recipe": tiny_recipe(backbone="vgg").text()}, "vgg"),
        ({"training": {"seconds": 1.0, "losses": []}}, "training|Training"),
    ],
)
def test_a_model_that_does_not_fit_its_description_is_refused_by_name(changes, says):
    path = model_file(fetched().recipe.key)
    resealed(path, **changes)
    with pytest.raises(BctError, match=says) as caught:
        load_artefact(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence


def test_another_models_file_is_not_mistaken_for_the_one_wanted():
    made, other = fetched(), tiny_recipe(epochs=1, seed=5)
    model_folder(made.recipe.key).rename(model_folder(other.key))
    with pytest.raises(BctError, match=f"{other.key}.*holds the model {made.recipe.key}"):
        fetch(other, never, None, CPU)


class Interruption(BaseException):
    """Neither an Exception nor anything the code could expect."""


def interrupt(monkeypatch: pytest.MonkeyPatch, target, name: str, call: int) -> None:
    """Let the `call`-th call of target.name (from 0) raise."""
    real, calls = getattr(target, name), []

    def cut_off(*args, **kwargs):
        calls.append(name)
        if len(calls) > call:
            raise Interruption
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, cut_off)


@pytest.mark.parametrize(
    ("target", "name", "call"),
    [
        (loop, "learning_rate", 0),
        (loop, "learning_rate", 3),
        (store, "training_provenance", 0),
        (safetensors.torch, "save_file", 0),
        (safetensors.torch, "save_file", 2),  # the model, after two checkpoints
        (os, "replace", 0),
        (os, "replace", 1),
    ],
)
def test_interrupted_training_leaves_nothing_that_looks_finished(monkeypatch, target, name, call):
    recipe = tiny_recipe()
    with monkeypatch.context() as patch:
        interrupt(patch, target, name, call)
        with pytest.raises(Interruption):
            fetched(recipe)
    assert not is_trained(recipe)
    with pytest.raises(BctError, match="unfinished"):
        load_artefact(model_file(recipe.key))
    assert not list(store.locations.store_dir().rglob(".model*"))
    made = fetched(recipe)  # the lock was released
    assert same_artefact(made, fetch(recipe, never, None, CPU))


def test_a_writer_that_dies_half_way_leaves_the_model_absent(monkeypatch):
    def half(tensors, path, metadata):
        if path.name != "model.safetensors":
            return save_file(tensors, path, metadata)
        Path(path).write_bytes(b"\x08\x00\x00")
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", half)
        with pytest.raises(Interruption):
            fetched()
    assert not is_trained(tiny_recipe(epochs=1))
    assert same_artefact(fetched(), fetch(tiny_recipe(epochs=1), never, None, CPU))


def test_a_full_disk_is_said_in_one_sentence(monkeypatch):
    def full(tensors, path, metadata):
        if path.name != "model.safetensors":
            return save_file(tensors, path, metadata)
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(BctError, match=r"cannot write .*model\.safetensors: .*No space left"):
        fetched()
    assert not is_trained(tiny_recipe(epochs=1))


def test_a_store_that_cannot_be_written_is_said_in_one_sentence(store_folder):
    store_folder.write_text("a file in the folder's place")
    with pytest.raises(BctError, match=f"cannot write into the store {store_folder}"):
        fetched()
    assert store_folder.read_text() == "a file in the folder's place"


def wait_until_it_trains(process: subprocess.Popen, events: Path, epochs: int) -> None:
    for _ in range(2400):
        if events.exists() and f'"step", "label": "{epochs} epochs"' in events.read_text():
            return
        assert process.poll() is None, "the process ended before it was seen training"
        time.sleep(0.05)
    raise AssertionError("the process did not begin to train")


def test_another_process_is_waited_for_and_when_killed_leaves_only_its_checkpoint(store_folder, tmp_path, monkeypatch):
    short, endless = 150, 10**6
    events, said = tmp_path / "events", []
    environment = os.environ | {"BCT_PROGRESS": str(events), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(TRAIN), str(short), str(endless)], env=environment)
    try:
        wait_until_it_trains(process, events, short)
        assert not is_trained(tiny_recipe(epochs=short))
        monkeypatch.setattr(store.progress, "say", said.append)
        waited_for = fetch(tiny_recipe(epochs=short), never, None, CPU, "mine")
        holder = f"process {process.pid} on {socket.gethostname()} ({short} epochs)"
        assert said == [f"mine: {holder} is making it; waiting"]
        wait_until_it_trains(process, events, endless)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    recipe = tiny_recipe(epochs=endless)
    assert not is_trained(recipe)
    with store.exclusive(recipe.key, "mine"):  # would wait for ever if the dead process still held it
        holder = f"process {process.pid} on {socket.gethostname()} ({endless} epochs)"
        assert said[-1] == f"mine: {holder} was making it and has died; going on in its place"
        left = {file.name for file in model_folder(recipe.key).iterdir()}
        being_written = {name for name in left if name.startswith((".tmp", ".checkpoint.safetensors."))}
        assert left - being_written == {"checkpoint.safetensors"}
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "second store"))
    assert same_weights(fetched(tiny_recipe(epochs=short)).backbone, waited_for.backbone)  # processes agree to the bit
