"""The store: each model is trained once, kept under the digest of its recipe, and shared by all notebooks.

The file is `store/models/<key>/model.safetensors`; the key depends on the old model's key too. A lock lets one process
train a model while others that need it wait.
"""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from bctlib.base import locations, progress
from bctlib.base.errors import BctError, UsageError
from bctlib.base.files import is_sealed, remove_leftovers, set_aside
from bctlib.data.training_set import TrainingData
from bctlib.methods import OldModel
from bctlib.training.artefact import Artefact, Training, load_artefact, save_artefact
from bctlib.training.checkpoint import Checkpoint, remove_checkpoint
from bctlib.training.devices import training_provenance
from bctlib.training.loop import train
from bctlib.training.processes import current_group
from bctlib.training.recipe import Recipe


def model_folder(key: str) -> Path:
    """Where the model of that recipe digest lives, trained or not."""
    return locations.store_dir() / "models" / key


def model_file(key: str) -> Path:
    return model_folder(key) / "model.safetensors"


def checkpoint_file(key: str) -> Path:
    """Where an unfinished training is taken up from; gone when the model is finished."""
    return model_folder(key) / "checkpoint.safetensors"


def shipped_file(recipe: Recipe) -> Path | None:
    """The model of that recipe that comes with the checkout, if any does: `models/<scale>/<name>.<key>.safetensors`."""
    found = locations.shipped_models_dir().glob(f"*/*.{recipe.key}.safetensors") if locations.in_checkout() else ()
    return next(iter(found), None)


def is_trained(recipe: Recipe) -> bool:
    """Whether the store holds the finished model, or the checkout ships it."""
    return is_sealed(model_file(recipe.key)) or shipped_file(recipe) is not None


def forget(recipe: Recipe) -> None:
    """Remove a model and its features, so that it will be trained again."""
    if current_group().first:
        shutil.rmtree(model_folder(recipe.key), ignore_errors=True)
    current_group().barrier()


def fetch(
    recipe: Recipe,
    data: Callable[[], TrainingData],
    old: Artefact | None,
    device: torch.device,
    label: str = "model",
    shipped: bool = True,
) -> Artefact:
    """The trained model of a recipe, on `device`: from the store, from the checkout, or trained now and stored.

    data: called only if the model must be trained. shipped: whether a model that comes with the checkout will do.
    Raises BctError when the store cannot be written, when the model found is damaged, naming the file (one of the store
    is set aside, so that the next call trains), and when `old` is not the model that the recipe names. Of several
    processes that train together rank 0 looks, locks and writes.
    """
    path, processes = model_file(recipe.key), current_group()
    if processes.of_first(is_sealed(path)):
        return _load(path, recipe).to(device)
    if shipped and (file := shipped_file(recipe)):
        if processes.first:
            progress.say(f"{label}: comes with the project ({file.name}); --force trains it anew")
        return load_artefact(file).to(device)
    if recipe.old != (old.recipe.key if old else None):
        raise BctError(f"{label}: its recipe names the old model {recipe.old}, which is not the one that was given")
    with exclusive(recipe.key, label):
        if processes.of_first(is_sealed(path)):  # another run finished it meanwhile
            return _load(path, recipe).to(device)
        model = old.as_old() if old else None
        return train_and_save(path, checkpoint_file(recipe.key), recipe, data(), model, device, label)


def train_and_save(
    path: Path,
    checkpoint_path: Path,
    recipe: Recipe,
    data: TrainingData,
    old: OldModel | None,
    device: torch.device,
    label: str,
) -> Artefact:
    """Train (`bctlib.training.loop.train`, which says what is raised) and write the sealed model file `path`.

    checkpoint_path: where an interrupted training resumes. It is removed only after the model is sealed, so that a
    process killed at any moment loses nothing. If several processes train together, rank 0 alone writes. Raises
    BctError when `path` cannot be written.
    """
    processes = current_group()
    origin = training_provenance(device)
    origin["device"] = processes.device_text(origin["device"])
    checkpoint = Checkpoint(checkpoint_path, recipe.key, origin["device"])
    trained = train(recipe, data, old, device, label, checkpoint)
    origin["device"] = " then ".join(checkpoint.devices)
    about = Training(trained.seconds, trained.images_per_s, tuple(trained.losses), **origin)
    artefact = Artefact(recipe, trained.backbone, trained.head, trained.classes, about, trained.transform)
    if processes.first:
        save_artefact(path, artefact)
        remove_unfinished(path, checkpoint_path)
    processes.barrier()
    return artefact


def remove_unfinished(path: Path, checkpoint_path: Path) -> None:
    """Delete the checkpoint of a sealed model, and the temporary files of writers that were killed."""
    remove_leftovers(path)
    remove_checkpoint(checkpoint_path)


def _load(path: Path, recipe: Recipe) -> Artefact:
    try:
        artefact = load_artefact(path)
        if artefact.recipe.key != recipe.key:
            raise BctError(f"{path} holds the model {artefact.recipe.key}, expected {recipe.key}")
    except UsageError:
        raise  # the file is not to blame
    except BctError as error:
        raise set_aside(path, error) from error
    remove_unfinished(path, checkpoint_file(recipe.key))  # of a process killed just after it sealed the model
    return artefact


@contextmanager
def exclusive(key: str, label: str) -> Iterator[None]:
    """Held by the one process that makes what `key` names; others wait, and say for whom.

    The operating system releases it when the process dies, however it dies; who comes next then says so. Raises
    BctError when the store cannot be written. Of processes that train together rank 0 holds it for all.
    """
    if not current_group().first:
        yield
        return
    folder = locations.store_dir() / "locks"
    lock, holder = FileLock(folder / f"{key}.lock"), folder / f"{key}.holder"
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0.1)
            except Timeout:
                progress.say(f"{label}: {_named(holder)} is making it; waiting")
                lock.acquire()
            held.callback(lock.release)
            if holder.exists():
                progress.say(f"{label}: {_named(holder)} was making it and has died; going on in its place")
            holder.write_text(json.dumps([os.getpid(), socket.gethostname(), label]), encoding="utf-8")
            held.callback(_remove, holder)
        except OSError as error:
            raise BctError(f"cannot write into the store {locations.store_dir()}: {error.strerror}") from error
        yield


def _named(holder: Path) -> str:
    """The process that holds a lock, in words."""
    try:
        pid, host, label = json.loads(holder.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # not yet written, or only half
        return "another process"
    return f"process {pid} on {host} ({label})"


def _remove(holder: Path) -> None:
    with suppress(OSError):  # else the next to come says that this process died
        holder.unlink(missing_ok=True)
