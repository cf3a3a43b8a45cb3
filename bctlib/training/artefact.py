"""One file per trained model: everything that is needed to use it, or to train the next one against it.

A safetensors file: the weights of backbone, head and (where the method has one) transform, and as metadata the recipe,
the class names, how to build head and backbone, the losses, and what it was trained with. Nothing is unpickled.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from bctlib.errors import BctError
from bctlib.files import check_seal, seal
from bctlib.training.backbones import EmbeddingNet, build_backbone
from bctlib.training.devices import autocast
from bctlib.training.heads import Head, build_head
from bctlib.training.methods import OldModel
from bctlib.training.recipe import Recipe

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
    """A trained model. transform: None, or maps new embeddings for comparison with old ones."""

    recipe: Recipe
    backbone: EmbeddingNet
    head: Head
    classes: tuple[str, ...]
    training: Training
    transform: nn.Linear | None = None

    @property
    def dim(self) -> int:
        return self.recipe.dim

    def to(self, device: torch.device) -> "Artefact":
        """Move all networks, in place."""
        for module in (self.backbone, self.head, self.transform):
            if module is not None:
                module.to(device)
        return self

    def as_old(self) -> OldModel:
        """This model in the part of the old one: frozen backbone, head with scale and margin, class names."""
        return OldModel(self.backbone, self.head, self.classes)

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """float32 [N,dim] of float32 images [N,C,S,S] in the evaluation transform; norms are kept."""
        with autocast(images.device):
            z = self.backbone(images.contiguous(memory_format=torch.channels_last))
        return z.float()


def save_artefact(path: Path, artefact: Artefact) -> None:
    """Write and seal the file (`bctlib.files`): until the last moment nothing there looks finished.

    Raises BctError when it cannot be written.
    """
    head = artefact.head
    tensors = _named("backbone", artefact.backbone) | _named("head", head)
    if artefact.transform is not None:
        tensors |= _named("transform", artefact.transform)
    about = {
        "format": FORMAT,
        "recipe": artefact.recipe.text(),
        "classes": list(artefact.classes),
        "head": {"kind": head.kind, "classes": head.classes, "dim": head.dim, "settings": head.settings()},
        "training": asdict(artefact.training),
    }
    metadata = {"bctlib": json.dumps(about, ensure_ascii=False)}
    try:
        seal(path, lambda temporary: save_file(tensors, temporary, metadata))
    except SafetensorError as error:  # its own writer says "disk full" in its own way
        raise BctError(f"cannot write {path}: {error}") from error


def load_artefact(path: Path) -> Artefact:
    """Read a sealed model onto the CPU, in evaluation mode and frozen.

    Raises BctError naming the file when it is unfinished, damaged, of another format, or does not fit its recipe.
    """
    check_seal(path)
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["bctlib"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if about["format"] != FORMAT:
            raise BctError(f"its format is {about['format']!r}, expected {FORMAT!r}")
        recipe = Recipe.from_text(about["recipe"])
        form = about["head"]
        head = build_head(form["kind"], form["classes"], form["dim"], **form["settings"])
        backbone = build_backbone(recipe.backbone, recipe.dim, recipe.relu)
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
    except (BctError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())  # PyTorch's fill several lines
        raise BctError(f"{path} is not a model of this version ({reason}); delete it to train it again") from error
    backbone.to(memory_format=torch.channels_last)
    return Artefact(recipe, backbone, head, classes, training, transform)


def _named(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _of(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
