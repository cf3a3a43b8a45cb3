"""Training that is killed by SIGKILL again and again ends in the weights of one that was not, and a whole store."""

import functools
import json
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from killed_training import CPU, recipes, start
from tiny import same_weights, tiny_set

from bctlib.methods import OldModel
from bctlib.training.artefact import load_artefact
from bctlib.training.loop import Trained, train
from bctlib.training.store import model_file

EPOCHS = 16


@functools.cache
def uninterrupted(seed: int, epochs: int) -> tuple[Trained, Trained]:
    """Both models, trained here, without store or checkpoint."""
    old_recipe, new_recipe = recipes(seed, epochs)
    old = train(old_recipe, tiny_set("ac"), None, CPU)
    return old, train(new_recipe, tiny_set(), OldModel(old.backbone, old.head, old.classes), CPU)


def check(store: Path, seed: int, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store holds both models, finished, bit-equal to uninterrupted ones, and nothing else of them."""
    monkeypatch.setenv("BCT_STORE", str(store))
    for recipe, expected in zip(recipes(seed, epochs), uninterrupted(seed, epochs), strict=True):
        found = load_artefact(model_file(recipe.key))
        assert found.training.losses == tuple(expected.losses)
        for part in ("backbone", "head", *(["transform"] if expected.transform else [])):
            assert same_weights(getattr(found, part), getattr(expected, part)), part
        left = {file.name for file in model_file(recipe.key).parent.iterdir()}
        assert left == {"model.safetensors", "model.safetensors.sha256"}
    assert {file.suffix for file in (store / "locks").iterdir()} <= {".lock", ".holder"}


def said(store: Path) -> list[str]:
    """Lines of news of all its processes; the last of one that was killed may be half."""
    lines = events_of(store).read_text().splitlines()
    return [json.loads(line)["label"] for line in lines if line.startswith('{"kind": "say"') and line.endswith("}")]


def events_of(store: Path) -> Path:
    return store.with_name(f"{store.name}.events")


def train_and_kill(store: Path, seed: int, kills: int, rng: random.Random) -> int:
    """Start the training anew after each kill, until it has ended by itself; the number of kills that met it alive."""
    span, met = sum(model.seconds for model in uninterrupted(seed, EPOCHS)), 0
    while True:
        process = start(store, seed, EPOCHS)
        if met < kills:
            wait_for_event(store, process, rng.choice(["begin", "step", "step"]))
            process.join(rng.uniform(0, span / kills))
            process.kill()
        process.join()
        if process.exitcode == 0:
            return met
        assert process.exitcode == -signal.SIGKILL
        met += 1


def wait_for_event(store: Path, process: BaseProcess, kind: str) -> None:
    """Until it begins a model, or has done an epoch of it: a slow start must not be all that is ever killed."""
    before = count(store, kind)
    while process.is_alive() and count(store, kind) == before:
        time.sleep(0.005)


def count(store: Path, kind: str) -> int:
    return events_of(store).read_text().count(f'"kind": "{kind}"') if events_of(store).exists() else 0


def kill_trainings(folder: Path, seed: int, at_least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One training after the other, until so many kills have met one."""
    kills = resumed = trainings = 0
    while kills < at_least:
        store = folder / f"store {trainings}"
        kills += train_and_kill(store, seed + trainings, min(8, at_least), random.Random(seed + trainings))
        check(store, seed + trainings, EPOCHS, monkeypatch)
        resumed += sum("resuming" in line for line in said(store))
        trainings += 1
    print(f"{kills} kills of {trainings} trainings of two models; {resumed} times a model was resumed; all bit-equal")
    assert resumed >= at_least // 4


def test_a_training_killed_at_random_moments_ends_in_the_same_bits(tmp_path, monkeypatch):
    kill_trainings(tmp_path, 0, 3, monkeypatch)


@pytest.mark.long
def test_trainings_killed_at_many_random_moments_end_in_the_same_bits(tmp_path, monkeypatch):
    kill_trainings(tmp_path, 100, 24, monkeypatch)


def test_a_training_killed_around_each_renaming_of_a_file_ends_in_the_same_bits(tmp_path, monkeypatch):
    """Two models of one epoch each: its checkpoint, then the model, then the model's marker."""
    for half in range(2 * 2 * 3):
        store = tmp_path / f"store {half}"
        for die_at, status in ((half / 2, -signal.SIGKILL), (None, 0)):
            process = start(store, 0, 1, die_at)
            process.join()
            assert process.exitcode == status, half
        check(store, 0, 1, monkeypatch)
        assert any("resuming" in line for line in said(store)) == (half % 6 not in (0, 5)), (
            half
        )  # nothing, or all, done
