"""The store: every model is trained once, kept by the digest of its recipe, and shared by all notebooks.

`store/models/<key>/model.safetensors`, where the key covers the old model's key too. A lock lets one process train a
model while others that want it wait.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from bctlib import locations, progress
from bctlib.data.training_set import TrainingData
from bctlib.errors import BctError
from bctlib.files import is_sealed, remove_leftovers
from bctlib.provenance import provenance
from bctlib.training.artefact import Artefact, Training, load_artefact, save_artefact
from bctlib.training.checkpoint import Checkpoint
from bctlib.training.loop import train
from bctlib.training.recipe import Recipe


def model_folder(key: str) -> Path:
    """Where the model of that recipe digest lives, trained or not."""
    return locations.store_dir() / "models" / key


def model_file(key: str) -> Path:
    return model_folder(key) / "model.safetensors"


def checkpoint_file(key: str) -> Path:
    """Where an unfinished training is taken up from; gone when the model is finished."""
    return model_folder(key) / "checkpoint.safetensors"


def is_trained(recipe: Recipe) -> bool:
    """Whether the store holds the finished model."""
    return is_sealed(model_file(recipe.key))


def forget(recipe: Recipe) -> None:
    """Remove a model and its features, so that it will be trained again."""
    shutil.rmtree(model_folder(recipe.key), ignore_errors=True)


def fetch(
    recipe: Recipe, data: Callable[[], TrainingData], old: Artefact | None, device: torch.device, label: str = "model"
) -> Artefact:
    """The trained model of a recipe, on `device`: from the store, or trained now and stored.

    data: called only if the model must be trained. Raises BctError when the store cannot be written, when the stored
    model is damaged, naming the file, and when `old` is not the model that the recipe names.
    """
    path = model_file(recipe.key)
    if is_sealed(path):
        return _load(path, recipe).to(device)
    if recipe.old != (old.recipe.key if old else None):
        raise BctError(f"{label}: its recipe names the old model {recipe.old}, which is not the one that was given")
    with exclusive(recipe.key, label):
        if is_sealed(path):  # another process finished it meanwhile
            return _load(path, recipe).to(device)
        origin = provenance(str(device))
        checkpoint = Checkpoint(checkpoint_file(recipe.key), recipe.key, origin["device"])
        trained = train(recipe, data(), old.as_old() if old else None, device, label, checkpoint)
        origin["device"] = " then ".join(checkpoint.devices)
        about = Training(trained.seconds, trained.images_per_s, tuple(trained.losses), **origin)
        artefact = Artefact(recipe, trained.backbone, trained.head, trained.classes, about, trained.transform)
        save_artefact(path, artefact)
        remove_leftovers(path)
        checkpoint.remove()
    return artefact


def _load(path: Path, recipe: Recipe) -> Artefact:
    artefact = load_artefact(path)
    if artefact.recipe.key != recipe.key:
        raise BctError(f"{path} holds the model {artefact.recipe.key}; delete it to train {recipe.key} again")
    return artefact


@contextmanager
def exclusive(key: str, label: str) -> Iterator[None]:
    """Held by the one process that makes what `key` names; others wait.

    The operating system releases it when the process dies, however it dies. Raises BctError when the store cannot be
    written.
    """
    folder = locations.store_dir() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key}.lock")
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            progress.say(f"{label}: another process is making it; waiting")
            lock.acquire()
    except OSError as error:
        raise BctError(f"cannot write into the store {locations.store_dir()}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
