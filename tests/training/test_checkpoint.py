"""Checkpoints: a run that was cut anywhere ends in the same bits; what cannot be trusted is said and passed over."""

import json
import math
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from damage import flip
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny import same_weights, tiny_recipe, tiny_set

from bctlib.base import progress
from bctlib.base.errors import BctError, Diverged
from bctlib.methods import METHODS, OldModel
from bctlib.training import loop, run_state, store
from bctlib.training.artefact import load_artefact
from bctlib.training.checkpoint import Checkpoint
from bctlib.training.loop import Trained, train
from bctlib.training.recipe import Recipe
from bctlib.training.store import checkpoint_file, fetch, model_file, model_folder

CPU = torch.device("cpu")
EPOCHS, STEPS = 3, 2  # of tiny_set in batches of 32
DIVERGING = {"rate": 1e30, "head": "softmax", "head_settings": {}}


@pytest.fixture(scope="module")
def old() -> OldModel:
    """Of two of the four classes."""
    model = train(tiny_recipe(epochs=2, dim=6), tiny_set("ac"), None, CPU)
    return OldModel(model.backbone, model.head, model.classes)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


def run(recipe: Recipe, path: Path, old: OldModel | None = None, device: str = "") -> Trained:
    return train(recipe, tiny_set(), old, CPU, "mine", Checkpoint(path, recipe.key, device))


class Cut(BaseException):
    """Neither an Exception nor anything the code could expect."""


def cut_at(monkeypatch: pytest.MonkeyPatch, step: int, recipe: Recipe, path: Path, old: OldModel | None = None) -> None:
    """Train until the given step (from 0, over all epochs) is about to begin."""
    real = loop.learning_rate

    def rate(schedule, at, steps):
        if at == step:
            raise Cut
        return real(schedule, at, steps)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", rate)
        with pytest.raises(Cut):
            run(recipe, path, old)


def same_training(one: Trained, other: Trained) -> bool:
    parts = [(one.backbone, other.backbone), (one.head, other.head)]
    if one.transform is not None:
        parts.append((one.transform, other.transform))
    return one.losses == other.losses and all(same_weights(a, b) for a, b in parts)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("every_s", [math.inf, -1.0], ids=["every epoch", "every step"])
def test_a_run_that_was_cut_twice_ends_in_the_same_bits(method, every_s, old, tmp_path, monkeypatch, said):
    monkeypatch.setattr(run_state, "EVERY_S", every_s)
    recipe = tiny_recipe(epochs=EPOCHS, method=method, old="0" * 16, dim=8)
    whole = train(recipe, tiny_set(), old, CPU)
    path = tmp_path / "checkpoint.safetensors"
    cut_at(monkeypatch, 3, recipe, path, old)
    cut_at(monkeypatch, 5, recipe, path, old)
    resumed = run(recipe, path, old)
    assert same_training(whole, resumed)
    assert resumed.seconds > 0 and resumed.backbone.training is False
    within = ", after 1 of its 2 steps" if every_s < 0 else ""
    assert said == [f"mine: resuming at epoch {n} of 3{within}" for n in (2, 3)]


def test_a_run_can_be_cut_at_every_step(tmp_path, monkeypatch):
    recipe = tiny_recipe(epochs=EPOCHS)
    whole = train(recipe, tiny_set(), None, CPU)
    for every_s in (math.inf, -1.0):
        monkeypatch.setattr(run_state, "EVERY_S", every_s)
        for step in range(EPOCHS * STEPS):
            path = tmp_path / f"{every_s} {step}"
            cut_at(monkeypatch, step, recipe, path)
            assert same_training(whole, run(recipe, path)), (every_s, step)


def test_a_finished_epoch_is_not_trained_again(tmp_path, monkeypatch, said):
    """After the last one only the end is left to do, as after a full disk."""
    recipe = tiny_recipe(epochs=EPOCHS)
    whole = run(recipe, tmp_path / "c")
    monkeypatch.setattr(loop, "learning_rate", lambda *_: pytest.fail("a step was made"))
    assert same_training(whole, run(recipe, tmp_path / "c"))
    assert said == ["mine: resuming after epoch 3 of 3"]


def test_time_spent_before_counts(tmp_path, monkeypatch):
    recipe = tiny_recipe(epochs=EPOCHS)
    cut_at(monkeypatch, 4, recipe, tmp_path / "c")
    checkpoint = Checkpoint(tmp_path / "c", recipe.key)
    tensors, about = checkpoint.read()
    checkpoint.write(tensors, about | {"seconds": 1000.0})
    assert 1000 < run(recipe, tmp_path / "c").seconds < 1060


def _of_another_format(path: Path) -> None:
    content = Checkpoint(path, json.loads(_metadata(path)["bctlib"])["recipe"])
    tensors, about = content.read()
    content.write(tensors, about | {"format": "bctlib-checkpoint-0"})


def _of_another_recipe(path: Path) -> None:
    tensors, about = Checkpoint(path, json.loads(_metadata(path)["bctlib"])["recipe"]).read()
    Checkpoint(path, "f" * 16).write(tensors, about | {"recipe": "f" * 16})


def _of_another_network(path: Path) -> None:
    checkpoint = Checkpoint(path, json.loads(_metadata(path)["bctlib"])["recipe"])
    tensors, about = checkpoint.read()
    checkpoint.write(tensors | {"head.weight": torch.zeros(7, 8)}, about)


def _of_something_else(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def _metadata(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def _bomb(dump):
    def plant(path: Path) -> None:
        dump(Bomb(path.with_name("touched")), path)

    return plant


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (flip(0), "damaged"),
        (flip(0.001), "damaged"),
        (flip(0.5), "damaged"),
        (flip(1), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (_bomb(torch.save), "not a checkpoint"),
        (_bomb(lambda bomb, path: path.write_bytes(pickle.dumps(bomb))), "not a checkpoint"),
        (_of_something_else, "not a checkpoint"),
        (_of_another_format, "has the format 'bctlib-checkpoint-0', expected 'bctlib-checkpoint-1'"),
        (_of_another_recipe, f"is of the recipe {'f' * 16}, expected"),
        (_of_another_network, "is of another network"),
    ],
)
def test_what_cannot_be_trusted_is_said_and_training_begins_anew(damage, says, tmp_path, monkeypatch, said):
    recipe, path = tiny_recipe(epochs=2), tmp_path / "checkpoint.safetensors"
    whole = run(recipe, path)
    damage(path)
    assert same_training(whole, run(recipe, path))
    (line,) = said
    assert line.startswith("mine: the checkpoint") and says in line and line.endswith("; training begins anew")
    assert "\n" not in line and not (tmp_path / "touched").exists()
    assert run(recipe, path) and said[1:] == ["mine: resuming after epoch 2 of 2"]  # the new one can be trusted


def test_no_flipped_bit_is_overlooked(tmp_path):
    path = tmp_path / "c"
    about = {"epoch": 1, "step": 0, "losses": [1.5], "seconds": 2.0}
    tensors = {"backbone.a": torch.arange(6.0).reshape(2, 3), "backbone.n": torch.tensor(7)}
    Checkpoint(path, "k" * 16, "cpu").write(tensors, about)
    content = path.read_bytes()
    overlooked = []
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1 << position % 8]) + content[position + 1 :])
        try:
            found, counters = Checkpoint(path, "k" * 16, "cpu").read()
        except BctError:
            continue
        same = all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
        if not (same and found.keys() == tensors.keys() and about.items() <= counters.items()):
            overlooked.append(position)
    assert not overlooked  # a blank of the padding may become another blank


def test_a_checkpoint_of_another_device_goes_on_and_both_are_named(tmp_path, monkeypatch):
    recipe, path = tiny_recipe(epochs=2), tmp_path / "c"
    cut_at(monkeypatch, 2, recipe, path)  # on a device without a name
    on_cpu = Checkpoint(path, recipe.key, "CPU")
    train(recipe, tiny_set(), None, CPU, "mine", on_cpu)
    assert on_cpu.devices == ["", "CPU"]
    on_gpu = Checkpoint(path, recipe.key, "GPU")
    train(recipe, tiny_set(), None, CPU, "mine", on_gpu)
    assert on_gpu.devices == ["", "CPU"]  # every epoch was done: it had no part


def test_a_loss_that_is_no_number_stops_at_its_step_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, said):
    recipe, path = tiny_recipe(epochs=EPOCHS), tmp_path / "c"
    real = METHODS["independent"].loss
    monkeypatch.setattr(
        METHODS["independent"], "loss",
        lambda self, batch, head: real(self, batch, head) * (math.nan if loop.at == 3 else 1),
    )  # fmt: skip
    rate = loop.learning_rate
    monkeypatch.setattr(loop, "at", None, raising=False)
    monkeypatch.setattr(loop, "learning_rate", lambda s, step, n: (setattr(loop, "at", step), rate(s, step, n))[1])
    sentence = "mine: the loss is nan in step 2 of 2 of epoch 2 of 3: lower the rate or lambda"
    with pytest.raises(Diverged) as caught:
        run(recipe, path)
    assert str(caught.value) == f"{sentence}; the last good checkpoint is kept in {path}"
    assert loop.at == 3  # at once
    tensors, about = Checkpoint(path, recipe.key).read()
    assert about["epoch"] == 1 and all(tensor.isfinite().all() for tensor in tensors.values())
    with pytest.raises(Diverged, match="step 2 of 2 of epoch 2"):  # again, without the epoch before it
        run(recipe, path)
    assert said == ["mine: resuming at epoch 2 of 3"]


def tiny_state(path: Path, latest: int = 1, steps: int = 100) -> run_state.RunState:
    net, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    optimiser = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
    state = run_state.RunState("mine", net, head, (), optimiser, 2, steps, Checkpoint(path, "k"))
    state._latest = torch.zeros(latest)  # as on a GPU, where more than one step passes between two looks
    return state


@pytest.mark.parametrize("bad", [0, 5, 31, 32, 40, 69])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_first_bad_step_is_named_however_late_it_is_looked_at(bad, value, tmp_path):
    state = tiny_state(tmp_path / "c", latest=32)
    with pytest.raises(Diverged, match=f"the loss is {value} in step {bad + 1} of 100 of epoch 1 of 2:"):
        for step in range(70):
            state.add(torch.tensor(1.0 if step < bad else value))
        state.end_epoch()
    assert state.step <= bad + 32 and not (tmp_path / "c").exists()


def test_a_checkpoint_never_holds_a_weight_that_is_no_number(tmp_path):
    state = tiny_state(tmp_path / "c", steps=1)
    state.add(torch.tensor(1.0))
    state.end_epoch()
    before = (tmp_path / "c").read_bytes()
    state.add(torch.tensor(1.0))
    with torch.no_grad():
        state.backbone.weight[0, 0] = math.inf
    with pytest.raises(Diverged, match="a weight is not finite after step 1 of 1 of epoch 2 of 2: lower the rate"):
        state.end_epoch()
    assert (tmp_path / "c").read_bytes() == before


def test_a_diverging_model_of_the_store_leaves_nothing_finished(store_folder):
    recipe = tiny_recipe(**DIVERGING)
    for _ in range(2):
        with pytest.raises(Diverged, match="lower the rate or lambda"):
            fetch(recipe, tiny_set, None, CPU)
    assert not store.is_trained(recipe)


def test_a_disk_that_is_full_ends_in_one_sentence_and_the_next_run_goes_on(tmp_path, monkeypatch, said):
    recipe, path = tiny_recipe(epochs=EPOCHS), tmp_path / "c"
    calls = []

    def fills_up(tensors, temporary, metadata):
        calls.append(1)
        if len(calls) == 2:
            temporary.write_bytes(b"\x08")
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save_file(tensors, temporary, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", fills_up)
        with pytest.raises(BctError, match=f"^cannot write {path}: .*No space left on device") as caught:
            run(recipe, path)
    assert "\n" not in str(caught.value) and [file.name for file in tmp_path.iterdir()] == ["c"]
    assert same_training(train(recipe, tiny_set(), None, CPU), run(recipe, path))
    assert said == ["mine: resuming at epoch 2 of 3"]


def test_when_the_model_is_finished_its_checkpoint_and_leftovers_are_gone(store_folder, monkeypatch):
    recipe = tiny_recipe(epochs=2)
    folder = model_folder(recipe.key)
    folder.mkdir(parents=True)
    for name in ("checkpoint.safetensors", "model.safetensors", "model.safetensors.sha256"):
        killed = folder / f".{name}.bctlib-abcdefgh"
        killed.mkdir()
        for inside in ("writer.lock", name, ".tmpAbC123"):
            (killed / inside).write_text("of a killed writer")
    (folder / "features").write_text("of the model")
    written = []
    real = Checkpoint.write
    monkeypatch.setattr(Checkpoint, "write", lambda self, *rest: (written.append(self.path), real(self, *rest)))
    fetch(recipe, tiny_set, None, CPU)
    assert written == [checkpoint_file(recipe.key)] * 2
    assert {file.name for file in folder.iterdir()} == {"model.safetensors", "model.safetensors.sha256", "features"}
    load_artefact(model_file(recipe.key))
    assert load_file(model_file(recipe.key))
