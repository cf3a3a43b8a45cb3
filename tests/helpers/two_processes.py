"""Everything that is trained and embedded here, alone or by torchrun: `two_processes.py STORE OUT`, then rank 0 saves.

`everything` gives the same numbers for any number of processes, within rounding; the tests compare two with one. All
cases are computed in float64: in float32 a rounding that tips a single ReLU moves a weight by a thousandth, and could
hide a fault of that size.
"""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tiny import SIDE, tiny_recipe, tiny_set
from torch import nn

from bctlib.base.errors import Diverged
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.index import index_folder
from bctlib.data.photos.reading import ImageList
from bctlib.data.photos.sets import image_folder_set
from bctlib.data.templates import ImagePool
from bctlib.data.training_set import TrainingSet
from bctlib.methods import METHODS, OldModel, Preparation
from bctlib.training import devices, store
from bctlib.training.features import pool_features
from bctlib.training.loop import Trained, train
from bctlib.training.processes import current_group, joined
from bctlib.training.recipe import Recipe
from companion.launcher.train_models import rank_main

CPU = torch.device("cpu")
BATCH = 32
# One step is one epoch, so that the losses of the epochs are those of the steps.
STEPS = {"epochs": 3, "batch": BATCH, "rate": 0.02}
IN_FLOAT32 = ("independent", "bct-sys")
HEADS = {"softmax": {}, "norm-softmax": {"scale": 8.0}}
CASES = {
    **{name: {"method": name, "old": "0" * 16} for name in METHODS},
    **{f"{head} head": {"head": head, "head_settings": settings} for head, settings in HEADS.items()},
    "l2 between unit vectors": {"method": "l2", "old": "0" * 16, "options": {"unit_norm": True}},
    "distilled from softmax": {"method": "bct-kd", "old": "0" * 16, "softmax old": True},
    "a set of unequal shares": {"per_class": 5, "batch": 64},
    "steps within an epoch": {"batch": 8, "epochs": 2},
    "a bank of noise": {"per_class": 42, "batch": 168, "side": 28, "epochs": 2},
}


@dataclass(frozen=True)
class DoubleSet(TrainingSet):
    """Its bytes are distorted in float32, as always, and then seen in float64."""

    def to(self, device: torch.device) -> "DoubleSet":
        return self

    def distortion(self, settings):
        distort = super().distortion(settings)

        def distort_in_double(*of) -> torch.Tensor:
            torch.set_default_dtype(torch.float32)
            images = distort(*of)
            torch.set_default_dtype(torch.float64)
            return images.double()

        return distort_in_double

    def plain_batches(self, *of, **named_of):
        return ((images.double(), labels) for images, labels in super().plain_batches(*of, **named_of))


@contextmanager
def in_double() -> Iterator[None]:
    """New tensors are float64, and what the library turns into float32 is too."""
    single = torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = single
        torch.set_default_dtype(torch.float32)


def trained(old: OldModel | None, case: dict, kind: type[TrainingSet] = DoubleSet) -> Trained:
    case = STEPS | case
    case.pop("softmax old", None)
    shape = {name: case.pop(name) for name in ("per_class", "side") if name in case}
    data = tiny_set(**({"per_class": 8} | shape))
    return train(tiny_recipe(**case), kind(data.images, data.labels, data.classes), old, CPU)


def old_model(kind: type[TrainingSet], **changes) -> OldModel:
    """Of two of the four classes, hardly trained, the same in every process."""
    recipe, data = tiny_recipe(dim=6, epochs=1, **changes), tiny_set("ac")
    model = train(recipe, kind(data.images, data.labels, data.classes), None, CPU)
    return OldModel(model.backbone, model.head, model.classes)


def everything(photographs: Path) -> dict[str, torch.Tensor]:
    """Losses of each step and all final tensors of each case, class means, features, weights by photographs."""
    found = {"stopped in the same step": diverged()}
    with in_double():
        old = {False: old_model(DoubleSet), True: old_model(DoubleSet, head="softmax", head_settings={})}
        for name, case in CASES.items():
            found |= named(name, trained(old["softmax old" in case], case))
    single = old_model(TrainingSet)
    for name in IN_FLOAT32:
        found |= named(f"{name} in float32", trained(single, CASES[name], TrainingSet))
    data = tiny_set(per_class=9)
    own = current_group().share(len(data))
    preparation = Preparation(data.classes, CPU, lambda: data.plain_batches(4, own), single, current_group().sum)
    found["class means"] = preparation.old_class_means
    found |= named("photographs", trained_on_photographs(photographs))
    return found | through_the_store()


def diverged() -> torch.Tensor:
    """The step in which a training that cannot go well is stopped; all go on together to what comes next."""
    recipe = tiny_recipe(rate=1e30, head="softmax", head_settings={}, epochs=8)
    try:
        train(recipe, tiny_set(), None, CPU)
    except Diverged as error:
        return torch.tensor([float(number) for number in re.findall(r"\d+", str(error))])
    raise AssertionError("expected Diverged")


def named(name: str, model: Trained) -> dict[str, torch.Tensor]:
    tensors = {f"{name}/losses": torch.tensor(model.losses, dtype=torch.float64)}
    for part in ("backbone", "head", "transform"):
        module: nn.Module | None = getattr(model, part)
        if module is not None:
            tensors |= {f"{name}/{part}.{key}": value for key, value in module.state_dict().items()}
    return tensors


def trained_on_photographs(folder: Path) -> Trained:
    """Each process decodes its own images and no other."""
    seen: list[int] = []
    read = ImageList.__getitem__
    ImageList.__getitem__ = lambda self, position: (seen.append(position), read(self, position))[1]
    try:
        data = image_folder_set(index_folder(folder), framing=WholeImage((24, 24)), workers=0)
        model = train(tiny_recipe(backbone="rehearsal-net", epochs=2, batch=len(data)), data, None, CPU)
    finally:
        ImageList.__getitem__ = read
    assert len(seen) == 2 * len(data) // current_group().size
    return model


def stored_recipe() -> Recipe:
    return tiny_recipe(epochs=2, seed=5)


def stored_pool() -> ImagePool:
    zeros, rng = np.zeros(7, np.int64), np.random.default_rng(0)
    return ImagePool(zeros, zeros, zeros, rng.integers(0, 256, (7, SIDE, SIDE)).astype(np.uint8))


def through_the_store() -> dict[str, torch.Tensor]:
    """Trained, stored and embedded; then trained again by a recipe whose checkpoint is found halfway."""
    model = store.fetch(stored_recipe(), tiny_set, None, CPU)
    features = pool_features(model, stored_pool(), CPU)
    return {"features": torch.from_numpy(features), **resumed()}


def resumed() -> dict[str, torch.Tensor]:
    """Cut after its first epoch, then taken up."""
    recipe = tiny_recipe(epochs=2, seed=6)

    class Cut(Exception):
        pass

    def cut(*_) -> None:
        raise Cut

    from bctlib.training.run_state import RunState

    end = RunState.end_epoch
    RunState.end_epoch = lambda self: (end(self), cut())
    try:
        store.fetch(recipe, tiny_set, None, CPU)
    except Cut:
        pass
    finally:
        RunState.end_epoch = end
    model = store.fetch(recipe, tiny_set, None, CPU)
    assert len(model.training.losses) == 2 and model.recipe == recipe
    return {f"resumed/{key}": value for key, value in model.backbone.state_dict().items()}


def work() -> None:
    """Everything, saved by rank 0; at last rank 1 is killed, which saves the tests a launch of its own."""
    photographs, out = map(Path, sys.argv[1:])
    with joined("cpu") as (processes, _):
        if not processes.first:
            os.environ["BCT_PROGRESS"] = os.devnull
        results = everything(photographs)
        if processes.first:
            save_file({name: tensor.contiguous() for name, tensor in results.items()}, out)
        processes.barrier()
        if processes.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        processes.barrier()


if __name__ == "__main__":
    torch.set_num_threads(1)
    devices.has_bf16 = lambda device: False
    sys.exit(rank_main(work, "two_processes"))
