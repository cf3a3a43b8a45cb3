"""The file of a trained model: all that is needed to use it or to train the next model against it.

A safetensors file with the weights of backbone, head and (if the method has one) transform. The metadata holds the
recipe, the class names, how to build head and backbone, the losses, and the origin of the training.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from bctlib.base import progress
from bctlib.base.errors import BctError, UsageError
from bctlib.base.files import check_seal
from bctlib.base.foreign_networks import is_import_path, split_size
from bctlib.base.network_code import code_of
from bctlib.losses import Head, build_head
from bctlib.methods import OldModel
from bctlib.networks import build_backbone
from bctlib.training.devices import autocast
from bctlib.training.recipe import Recipe
from bctlib.training.tensors_file import ABOUT, as_text, is_ours, read_tensors, write_tensors

FORMAT = "bctlib-model-1"


@dataclass(frozen=True)
class Training:
    """How the training went. device, versions, commit: as in the results; seconds: of training alone."""

    seconds: float
    images_per_s: float
    losses: tuple[float, ...]
    device: str
    versions: str
    commit: str


@dataclass(frozen=True)
class Artefact:
    """A trained model.

    head: None in a file that was made smaller for models that nothing is trained against. transform: None, or maps new
    embeddings for comparison with old ones.
    """

    recipe: Recipe
    backbone: nn.Module
    head: Head | None
    classes: tuple[str, ...]
    training: Training
    transform: nn.Linear | None = None

    @property
    def dim(self) -> int:
        return self.recipe.dim

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) of the images it was trained on, if its recipe says so (a user's images)."""
        return split_size(self.recipe.backbone)[1]

    def to(self, device: torch.device) -> "Artefact":
        """Move all networks, in place."""
        for module in (self.backbone, self.head, self.transform):
            if module is not None:
                module.to(device)
        return self

    def as_old(self) -> OldModel:
        """This model as the old one: frozen backbone, head with scale and margin, class names.

        Raises BctError if it has no head.
        """
        if self.head is None:
            raise BctError(f"the model {self.recipe.key} has no head, which a new model needs: train it with --force")
        return OldModel(self.backbone, self.head, self.classes)

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """float32 [N,dim] of float32 images [N,C,S,S] in the evaluation transform; norms are kept."""
        with autocast(images.device):
            z = self.backbone(images.contiguous(memory_format=torch.channels_last))
        return z.float()


def save_artefact(path: Path, artefact: Artefact) -> None:
    """Write and seal the file (`bctlib.base.files`): until the last moment nothing there looks finished.

    Raises BctError when it cannot be written.
    """
    head = artefact.head
    tensors = _named("backbone", artefact.backbone)
    if head is not None:
        tensors |= _named("head", head)
    if artefact.transform is not None:
        tensors |= _named("transform", artefact.transform)
    about = {
        "format": FORMAT,
        "recipe": artefact.recipe.text(),
        "classes": list(artefact.classes),
        "head": _form(head),
        "training": asdict(artefact.training),
    }
    write_tensors(path, tensors, as_text(about))


def is_artefact(path: Path) -> bool:
    """Whether bctlib has written this safetensors file; a file from elsewhere holds weights only."""
    return is_ours(path)


def load_artefact(path: Path, custom_network: str | None = None) -> Artefact:
    """Read a sealed model onto the CPU, in evaluation mode and frozen.

    custom_network: `package.module:factory` of a network that is not bctlib's. Its code is imported only if it is named
    here: no file decides what is executed. Raises BctError naming the file when it is unfinished, damaged, of another
    format, or does not fit its recipe, and when its network is not the one that was named.
    """
    if not path.exists():
        raise BctError(f"there is no file {path}, or its training is unfinished")
    check_seal(path)
    try:
        metadata, tensors = read_tensors(path)
        about = json.loads(metadata[ABOUT])
        if about["format"] != FORMAT:
            raise BctError(f"its format is {about['format']!r}, expected {FORMAT!r}")
        recipe = Recipe.from_text(about["recipe"])
        _check_network(path, recipe, custom_network)
        form = about["head"]
        _check_sizes(recipe, form, tensors)
        head = build_head(form["kind"], form["classes"], form["dim"], **form["settings"]) if form else None
        backbone = build_backbone(recipe.backbone, recipe.dim, recipe.relu)
        if recipe.code and recipe.code != code_of(recipe.backbone):
            network = split_size(recipe.backbone)[0]
            progress.say(f"{path}: the code of {network} has changed since it was trained: its embeddings may have too")
        transform = None
        if "transform.weight" in tensors:
            rows, columns = tensors["transform.weight"].shape
            transform = nn.Linear(columns, rows, bias="transform.bias" in tensors)
        for prefix, module in (("backbone", backbone), ("head", head), ("transform", transform)):
            if module is not None:
                module.load_state_dict(_of(prefix, tensors))
                module.eval().requires_grad_(False)
        training = Training(**{**about["training"], "losses": tuple(about["training"]["losses"])})
        classes = tuple(about["classes"])
    except UsageError:
        raise
    except (BctError, OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())  # PyTorch's fill several lines
        raise BctError(f"{path} is not a model of this version ({reason})") from error
    backbone.to(memory_format=torch.channels_last)
    return Artefact(recipe, backbone, head, classes, training, transform)


def _form(head: Head | None) -> dict | None:
    """What rebuilds the head."""
    if head is None:
        return None
    return {"kind": head.kind, "classes": head.classes, "dim": head.dim, "settings": head.settings()}


def _check_sizes(recipe: Recipe, form: dict | None, tensors: dict[str, torch.Tensor]) -> None:
    """Check claimed sizes before anything of that size is allocated."""
    if form:
        expected = (form["classes"], form["dim"])
        found = tuple(tensors["head.weight"].shape)
        if found != expected:
            raise BctError(f"the weight of its head is {found}, expected {expected}")
    widest = max(max(tensor.shape, default=0) for tensor in tensors.values())
    if not 0 < recipe.dim <= widest:
        raise BctError(f"its embeddings have {recipe.dim} elements, but no weight has more than {widest} rows")


def _check_network(path: Path, recipe: Recipe, custom_network: str | None) -> None:
    plain, _ = split_size(recipe.backbone)
    if is_import_path(plain) and plain != custom_network:
        given = f"{custom_network} was given" if custom_network else "its code is run only if you name it"
        raise UsageError(f"{path} was trained with the network {plain}, and {given}: expected backbone {plain}")


def _named(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _of(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
