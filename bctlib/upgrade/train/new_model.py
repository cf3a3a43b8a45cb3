"""Train a new model on a user's images, with or without an old model: check, estimate the time, train, save."""

import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from bctlib.base import progress
from bctlib.base.errors import UsageError, as_user_error
from bctlib.base.files import is_sealed, marker
from bctlib.base.foreign_networks import as_sentence, split_size, with_size
from bctlib.base.network_code import code_of
from bctlib.data.photos.class_names import read_class_map
from bctlib.data.photos.distortion import ColourDistortion
from bctlib.data.photos.framing import FACE, check_size
from bctlib.data.photos.sets import ImageFolderSet
from bctlib.data.training_set import TrainingData
from bctlib.losses import HEADS, build_head
from bctlib.methods import METHODS, OldModel, build_method
from bctlib.networks import build_backbone
from bctlib.training.artefact import Artefact, is_artefact, load_artefact
from bctlib.training.devices import autocast, choose_device
from bctlib.training.processes import rank_and_size
from bctlib.training.recipe import Recipe, Schedule
from bctlib.training.store import exclusive, remove_unfinished, train_and_save
from bctlib.upgrade.images import images_by_class
from bctlib.upgrade.train.old_models import Old, old_from_artefact

_IMAGES = 32  # in the measured step: enough to occupy the processor, few enough to be quick


def training_seconds(
    recipe: Recipe, data: TrainingData, old: OldModel | None, unseen: int, device: torch.device, size: tuple[int, int]
) -> float:
    """Estimate the seconds that `train` will take, from one real step.

    unseen: classes that the old head does not know; size: (height, width), for messages. The step also shows whether
    network and images fit: raises BctError that says how they do not, and naming an image that cannot be read.
    """
    with torch.random.fork_rng(devices=[]):
        net = build_backbone(recipe.backbone, recipe.dim, recipe.relu).to(device).train()
    data = data.to(device)
    distort = data.distortion(recipe.distortion)
    chosen = torch.arange(min(len(data), recipe.schedule.batch, _IMAGES))
    began = time.perf_counter()
    ((stored, _),) = data.batches(chosen, len(chosen))
    reading = (time.perf_counter() - began) / max(1, getattr(data, "workers", 1))
    images = distort(stored, torch.Generator().manual_seed(0))
    method = build_method(recipe.method, **recipe.options)
    for _ in range(2):  # the first prepares kernels and memory
        began = time.perf_counter()
        with as_sentence(split_size(recipe.backbone)[0], size), autocast(device):
            net(images).float().square().mean().backward()
        if old is not None and method.runs_old(unseen):
            with autocast(device):
                old.embed(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        step = time.perf_counter() - began
    return recipe.schedule.epochs * len(data) * max(step, reading) / len(chosen)


@dataclass(frozen=True)
class ClassCounts:
    """How many classes the new data and the old model share, and how many only one of them has."""

    both: int
    only_old: int
    only_new: int

    def line(self) -> str:
        return f"{self.both:,} classes in both, {self.only_old:,} only old, {self.only_new:,} only new"


def train_new_model(
    data: Path | str,
    out: Path | str,
    *,
    old: Old | Path | str | None = None,
    method: str = "bct-sys",
    backbone: str = "resnet18",
    dim: int | None = None,
    head: str = "cosine-margin",
    scale: float | None = None,
    margin: float | None = None,
    lam: float = 1.0,
    epochs: int = 30,
    batch: int = 128,
    rate: float = 0.1,
    image_size: tuple[int, int] | None = None,
    mirror: float = 0.0,
    class_map: Path | str | None = None,
    device: str = "auto",
    seed: int = 0,
    workers: int | None = None,
) -> Artefact:
    """Train on DATA/CLASS/image files and write OUT, a bctlib model file, which can be the next model's `old`.

    old: a model file of bctlib, or what `bctlib.upgrade.train.old_models` makes of other forms; None for `independent`.
    method: a key of METHODS. backbone: of bctlib or torchvision by name, or `package.module:factory`
    (`bctlib.base.foreign_networks`). dim: of the embedding, by default the old one's, else 128. head, scale, margin:
    of the new classifier (`HEADS`; scale 32 and margin 0.4 by default). lam: lambda of Eq. 8. image_size: (height,
    width), by default the old model's, else 112 x 112. mirror: probability of a left-right flip. class_map: text file
    of `old new` names of renamed classes. workers: processes that read images, by default one for each core.

    An interrupted training resumes when called again with the same arguments. Returns the trained model, on the device.
    Raises UsageError for options that do not fit together and BctError for data and old models that cannot be used.
    """
    out = Path(out)
    if rank_and_size()[1] > 1:
        raise UsageError("a model on your own images is trained by one process, but torchrun started several")
    on = choose_device(device)
    _check_numbers(epochs=epochs, batch=batch, rate=rate, lam=lam, seed=seed, dim=dim, workers=workers)
    check_size(image_size)
    _check_method(method, old is not None)
    require_writable(out, ".safetensors")
    if out.exists() and not is_artefact(out):
        raise UsageError(f"--out {out} is there, and is no model file of bctlib: expected another name")
    if isinstance(old, str | Path):
        old = old_from_artefact(old, custom_network=backbone)
    size = image_size or (old and old.image_size) or FACE
    index, images = images_by_class(data, size, workers)
    progress.say(f"data: {len(index):,} images of {len(index.classes):,} classes in {index.root}")
    unseen = len(index.classes)
    if old is not None:
        old = old.renamed(read_class_map(class_map)) if class_map else old
        counts = class_counts(old, index.classes)
        progress.say(f"old model: {old.about}")
        progress.say(counts.line())
        check_old_can(old, method, counts)
        unseen = counts.only_new
    recipe = Recipe(
        data=f"folder {index.version}, {len(index):,} images of {len(index.classes):,} classes, whole at "
        f"{size[0]}x{size[1]}",
        share=1.0,
        seed=seed,
        backbone=with_size(backbone, size),
        dim=dim or (old.model.dim if old else 128),
        head=head,
        method=method,
        schedule=Schedule("one-cycle", epochs=epochs, batch=batch, rate=rate),
        head_settings=_head_settings(head, scale, margin),
        options={"lam": lam} if METHODS[method].needs_old else {},
        distortion=asdict(ColourDistortion(mirror=mirror)),
        old=old.digest if old else None,
        code=code_of(backbone),
    )
    if old is not None and recipe.dim < old.model.dim:
        raise UsageError(f"--dim is {recipe.dim}, expected at least {old.model.dim}, the old model's: its classifier "
                         "judges the first elements of the new embedding")  # fmt: skip
    with exclusive(recipe.key, out.stem):
        if is_sealed(out):
            return _finished(out, recipe).to(on)
        return _train(recipe, images, old and old.to(on), unseen, on, size, out)


def class_counts(old: Old, classes: tuple[str, ...]) -> ClassCounts:
    """Classes of the old model against those of the new data, by name."""
    known, new = set(old.model.classes), set(classes)
    return ClassCounts(len(known & new), len(known - new), len(new - known))


def check_old_can(old: Old, method: str, counts: ClassCounts) -> None:
    """Raises UsageError if the method needs more than is available of the old model, naming methods that work."""
    chosen = build_method(method)
    if not counts.both and chosen.needs_shared:
        others = ", ".join(name for name, each in METHODS.items() if each.needs_old and not each.needs_shared)
        raise UsageError(
            f"no class of the new data has the name of an old one, so that {method} has nothing to bind: give a class "
            f"map of renamed classes, or a method that runs the old network on new classes ({others})"
        )
    if not old.has_network and chosen.runs_old(counts.only_new):
        others = [name for name, each in METHODS.items() if each.needs_old]
        works = [name for name in others if not build_method(name).runs_old(counts.only_new)]
        where = f" on the {counts.only_new:,} classes without old features" if method == "bct-sys" else ""
        raise UsageError(
            f"method {method} must run the old network{where}, and only features of it are left: "
            f"expected {' or '.join(works)}"
        )


def require_writable(path: Path, suffix: str) -> None:
    """Raises UsageError unless a file of that kind can be written there: found out before the work, not after it."""
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder: expected the name of a file in it")
    if path.suffix != suffix:
        raise UsageError(f"--out {path}: expected a name that ends in {suffix}")
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--out {path}: cannot write into {folder}")


def _train(
    recipe: Recipe, images: ImageFolderSet, old: Old | None, unseen: int, device: torch.device,
    size: tuple[int, int], out: Path,
) -> Artefact:  # fmt: skip
    label, model = out.stem, old.model if old else None
    seconds = training_seconds(recipe, images, model, unseen, device, size)
    progress.say(
        f"{label}: {recipe.method} with {split_size(recipe.backbone)[0]}, {recipe.dim} dimensions, "
        f"{recipe.schedule.epochs} epochs on {device}: about {progress.clock(seconds)}"
    )
    artefact = train_and_save(out, _checkpoint_of(out), recipe, images, model, device, label)
    progress.say(f"{label}: written to {out}, recipe {recipe.key}, loss {artefact.training.losses[-1]:.3g}")
    return artefact


def _checkpoint_of(out: Path) -> Path:
    return out.with_suffix(".checkpoint")


def _finished(out: Path, recipe: Recipe) -> Artefact:
    artefact = load_artefact(out, split_size(recipe.backbone)[0])
    if artefact.recipe.key != recipe.key:
        raise UsageError(
            f"--out {out} holds another model ({artefact.recipe.key}, not {recipe.key}), "
            f"{_difference(artefact.recipe, recipe)}: expected another name, or remove it and {marker(out).name}"
        )
    remove_unfinished(out, _checkpoint_of(out))  # of a process killed just after it sealed the model
    progress.say(f"{out.stem}: is there already, trained by the same recipe {recipe.key}")
    return artefact


def _difference(held: Recipe, asked: Recipe) -> str:
    """The differences of two recipes, in words."""
    words = {
        "data": "images",
        "code": "the code of its network",
        "old": "the old model",
        "head_settings": "scale or margin",
        "options": "lam",
        "distortion": "mirror",
    }
    names = [field.name for field in fields(Recipe) if getattr(held, field.name) != getattr(asked, field.name)]
    return f"which differs in {', '.join(words.get(name, name) for name in names)}"


def _check_method(method: str, has_old: bool) -> None:
    if method not in METHODS:
        raise UsageError(f"unknown method {method!r}: expected one of {', '.join(METHODS)}")
    needs_old = METHODS[method].needs_old
    if needs_old and not has_old:
        raise UsageError(f"method {method} needs an old model: give one (--old), or train with method independent")
    if has_old and not needs_old:
        raise UsageError(f"method {method} makes no use of an old model: leave it out, or choose bct-sys or bct")


def _check_numbers(**given: float | None) -> None:
    for name, value in given.items():
        least = 0 if name in ("lam", "seed", "workers") else 1
        if value is None or name == "rate" and value > 0:
            continue
        is_fraction = name not in ("rate", "lam") and not isinstance(value, int)
        if is_fraction or not least <= value < float("inf"):
            expected = "a number above 0" if name == "rate" else f"{least} or more"
            expected += ", a whole number" if is_fraction else ""
            raise UsageError(f"--{name} is {value}, expected {expected}")


def _head_settings(kind: str, scale: float | None, margin: float | None) -> dict[str, float]:
    given = {name: value for name, value in (("scale", scale), ("margin", margin)) if value is not None}
    if kind not in HEADS:
        raise UsageError(f"unknown head {kind!r}: expected one of {', '.join(HEADS)}")
    with as_user_error():
        return build_head(kind, 1, 1, **given).settings()
