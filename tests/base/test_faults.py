"""Injected faults: each ends in one clear sentence, and the next run recovers. (Checkpoints: test_checkpoint.py; single
files and the store under interruption: test_files.py, test_artefact_store.py.)"""

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_launcher
from tiny import pool_of, row, same_weights, tiny_recipe, tiny_set

from bctlib.base.errors import BctError
from bctlib.base.files import is_sealed, seal
from bctlib.training.artefact import Artefact
from bctlib.training.features import features_file, pool_features
from bctlib.training.store import fetch, is_trained, model_file, model_folder
from companion.results import load_rows, results_file, save_rows

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("store_folder")


def fetched(epochs: int = 1) -> Artefact:
    return fetch(tiny_recipe(epochs=epochs), tiny_set, None, CPU)


def sentence_of(call) -> str:
    """What a call that must fail says."""
    with pytest.raises(BctError) as caught:
        call()
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes of any file fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(folder: Path, code: int) -> Iterator[None]:
    """Whatever would change something in `folder` fails; permissions alone would not stop root."""
    names = ("mkdir", "open", "replace", "unlink", "remove", "rename")
    real = {name: getattr(os, name) for name in names}

    def refusing(name):
        def call(path, *rest, **options):
            writes = name != "open" or (rest and rest[0] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if writes and str(path).startswith(str(folder)):
                raise OSError(code, os.strerror(code), str(path))
            return real[name](path, *rest, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, refusing(name))
        yield


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_model_is_set_aside_and_the_next_run_trains_it_again(damage):
    made = fetched()
    path = model_file(made.recipe.key)
    damage(path)
    sentence = sentence_of(fetched)
    assert f"{path} is damaged" in sentence
    assert sentence.endswith("set aside as model.safetensors.damaged, and the next run makes it again")
    assert same_weights(fetched().backbone, made.backbone) and is_sealed(path)
    assert fetched().training.losses == made.training.losses
    assert (path.parent / "model.safetensors.damaged").exists()


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_features_are_set_aside_and_the_next_run_computes_them_again(damage):
    model, pool = fetched(), pool_of()
    first = pool_features(model, pool, CPU)
    path = features_file(model, pool)
    damage(path)
    sentence = sentence_of(lambda: pool_features(model, pool, CPU))
    assert f"{path} is damaged" in sentence and "the next run makes it again" in sentence
    assert np.array_equal(pool_features(model, pool, CPU), first) and is_sealed(path)


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "dump",
    [
        lambda bomb, path: path.write_bytes(pickle.dumps(bomb)),
        lambda bomb, path: np.save(path.open("wb"), np.array([bomb]), allow_pickle=True),
        torch.save,
    ],
    ids=["pickle", "npy of objects", "torch"],
)
def test_a_pickle_under_the_features_name_is_refused_unread(dump, tmp_path):
    model, pool, touched = fetched(), pool_of(), tmp_path / "touched"
    seal(features_file(model, pool), lambda path: dump(Bomb(touched), path))
    assert "is not an array of features" in sentence_of(lambda: pool_features(model, pool, CPU))
    assert not touched.exists()
    assert pool_features(model, pool, CPU).shape == (pool.size, model.dim)


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_full_disk_ends_training_in_one_sentence_and_the_next_run_recovers(size, store_folder):
    """At the lock's file, and at the first checkpoint of about 2 MB."""
    with files_of_at_most(10 if size == 100 else size):
        sentence = sentence_of(lambda: fetched(2))
    assert sentence.startswith("cannot write") and os.strerror(errno.EFBIG) in sentence
    assert not is_trained(tiny_recipe(epochs=2))
    whole = fetched(2)
    assert len(whole.training.losses) == 2 and is_trained(whole.recipe)
    assert {file.name for file in model_folder(whole.recipe.key).iterdir()} == {
        "model.safetensors",
        "model.safetensors.sha256",
    }


def test_a_full_disk_at_the_features_leaves_none(store_folder):
    model, pool = fetched(), pool_of()
    with files_of_at_most(300):
        sentence = sentence_of(lambda: pool_features(model, pool, CPU))
    path = features_file(model, pool)
    assert sentence.startswith(f"cannot write {path}") and not is_sealed(path)
    assert pool_features(model, pool, CPU).shape == (pool.size, model.dim) and is_sealed(path)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_store_that_is_read_only_is_said_and_what_it_holds_is_used(code, store_folder):
    made = fetched()
    with read_only(store_folder, code):
        assert same_weights(fetched().backbone, made.backbone)
        assert f"cannot write into the store {store_folder}: {os.strerror(code)}" in sentence_of(lambda: fetched(2))
    flip(model_file(made.recipe.key))
    with read_only(store_folder, code):
        sentence = sentence_of(fetched)
        assert "is damaged" in sentence and f"cannot be set aside: {os.strerror(code)}" in sentence
    sentence_of(fetched)
    assert same_weights(fetched().backbone, made.backbone)
    assert len(fetched(2).training.losses) == 2


def test_a_result_file_of_another_version_is_said_and_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    path = save_rows([row()], "smoke", "table1")
    other = path.read_text().replace(",n_behind", "").replace(",1000,", ",")
    path.write_text(other)
    for use in (lambda: load_rows("smoke", "table1"), lambda: save_rows([row(seed=1)], "smoke", "table1")):
        sentence = sentence_of(use)
        assert f"{path}, line 1: expected the columns table,scale," in sentence
        assert sentence.endswith("move it away to have a new one made") and path.read_text() == other
    path.rename(path.with_name("away.csv"))
    save_rows([row(seed=1)], "smoke", "table1")
    assert load_rows("smoke", "table1")["seed"].tolist() == [1]


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC])
def test_results_that_cannot_be_written_are_said(code, tmp_path, monkeypatch):
    folder = tmp_path / "results"
    monkeypatch.setenv("BCT_RESULTS", str(folder))
    with read_only(folder, code):
        sentence = sentence_of(lambda: save_rows([row()], "smoke", "table1"))
    assert sentence == f"cannot write into the results {folder / 'smoke'}: {os.strerror(code)}"
    save_rows([row()], "smoke", "table1")
    before = results_file("smoke", "table1").read_bytes()
    with files_of_at_most(len(before)):
        assert "cannot write" in sentence_of(lambda: save_rows([row(seed=1)], "smoke", "table1"))
    assert results_file("smoke", "table1").read_bytes() == before
    save_rows([row(seed=1)], "smoke", "table1")
    assert load_rows("smoke", "table1")["seed"].tolist() == [0, 1]


NOTEBOOK = (
    "import sys\nsys.path.insert(0, {tests!r})\nimport torch\ntorch.set_num_threads(1)",
    "from tiny import tiny_recipe, tiny_set\nfrom tiny import row\n"
    "from bctlib.training.store import fetch\nfrom companion.results import save_rows",
    "model = fetch(tiny_recipe(epochs=60), tiny_set, None, torch.device('cpu'), 'tiny')",
    "save_rows([row(value=model.training.losses[-1])], 'smoke', 'table1')",
)


def run_toy(folder: Path, **options) -> subprocess.Popen:
    words = [sys.executable, str(Path(toy_launcher.__file__)), str(folder), "toy", "--scale", "smoke"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, env=os.environ | {"BCT_RESULTS": str(folder / "results")}, **pipes, **options)


@pytest.mark.long
def test_a_run_killed_halfway_leaves_no_half_result_and_the_next_completes(tmp_path, monkeypatch):
    toy_launcher.write_toy_notebook(
        tmp_path, *(cell.format(tests=str(Path(__file__).parents[1] / "helpers")) for cell in NOTEBOOK)
    )
    recipe = tiny_recipe(epochs=60)
    process = run_toy(tmp_path)
    deadline = time.monotonic() + 200
    while not list(model_folder(recipe.key).glob("checkpoint*")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list((tmp_path / "results").rglob("*.csv"))

    process = run_toy(tmp_path)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    value = load_rows("smoke", "table1")["value"].item()
    flip(model_file(recipe.key))
    results_file("smoke", "table1").unlink()

    process = run_toy(tmp_path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1 and "model.safetensors is damaged" in err and "Traceback" not in err
    assert not list((tmp_path / "results").rglob("*.csv"))
    process = run_toy(tmp_path)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert load_rows("smoke", "table1")["value"].item() == value
