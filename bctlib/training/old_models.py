"""The old model, in whatever form it is left: one of our artefacts, plain PyTorch weights, or only features."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bctlib.data.framing import FACE
from bctlib.data.name_lists import one_form, read_class_names, read_row_classes
from bctlib.errors import BctError
from bctlib.training.artefact import load_artefact
from bctlib.training.class_means import head_of_features
from bctlib.training.heads import Head, frozen_head
from bctlib.training.methods import OldModel
from bctlib.training.own_networks import (
    Features,
    call_factory,
    embedding_width,
    is_import_path,
    last_linear,
    replace_layer,
    torchvision_network,
    understood,
)
from bctlib.training.plain_weights import Weights, matrices, read_classifier, read_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Old:
    """An old model that a new one can be trained against.

    digest: 16 hexadecimal digits that name it in recipes. about: what it is, for people. image_size: (height, width)
    that its network is made for, None where nobody said. has_network: False where only its classifier is left.
    """

    model: OldModel
    digest: str
    about: str
    image_size: tuple[int, int] | None = None
    has_network: bool = True

    def renamed(self, names: Mapping[str, str]) -> "Old":
        """The same model with other class names. names: new by old. Raises BctError for an old name that it does not
        know, and where two of its classes would have one name."""
        known = self.model.classes
        if strangers := [name for name in names if name not in known]:
            raise BctError(f"the class map renames {strangers[0]!r}, which is no class of the old model")
        classes = tuple(names.get(name, name) for name in known)
        if twice := {name for name in classes if classes.count(name) > 1}:
            raise BctError(f"the class map gives two classes of the old model the name {sorted(twice)[0]!r}")
        return replace(self, model=OldModel(self.model.backbone, self.model.head, classes))

    def to(self, device: torch.device) -> "Old":
        """Move all networks, in place."""
        self.model.backbone.to(device)
        self.model.head.to(device)
        return self


class SeenAs(nn.Module):
    """A network that wants images in its own size and normalisation: float32 [N,3,H,W] in [-1,1] come in.

    size: (height, width), None to leave it; mean, std: of each channel, of pixels in [0,1].
    """

    def __init__(self, net: nn.Module, size: tuple[int, int] | None, mean: Iterable[float], std: Iterable[float]):
        super().__init__()
        self.net, self.size = net, size
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = (images + 1) / 2
        if self.size and tuple(images.shape[2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True, align_corners=False)
        return self.net((images - self.mean) / self.std)


class NoNetwork(nn.Module):
    """Stands where the old network cannot be run any more."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise BctError("the old network cannot be run: only features of it are left")


def old_from_artefact(path: Path | str, own_network: str | None = None) -> Old:
    """A model that bctlib has trained. own_network: as for `load_artefact`, which raises BctError."""
    artefact = load_artefact(Path(path), own_network)
    old, size = artefact.as_old(), artefact.image_size or FACE
    old.classes = tuple(one_form(old.classes, str(path)))
    old.backbone = SeenAs(old.backbone, size, (0.5,) * 3, (0.5,) * 3)
    with understood(f"of {path}", size):
        old.embed(torch.zeros(2, 3, *size))
    about = f"{artefact.recipe.backbone} of {path}, {_about_head(old.head)}"
    return Old(old, artefact.recipe.key, about, size)


def old_from_weights(
    path: Path | str,
    backbone: str,
    classes: Path | str | None,
    classifier: str | None = None,
    scale: float | None = None,
    margin: float | None = None,
    image_size: tuple[int, int] | None = None,
    mean: Iterable[float] = IMAGENET_MEAN,
    std: Iterable[float] = IMAGENET_STD,
) -> Old:
    """A model from plain PyTorch: its weights, and the weight matrix of its classifier.

    path: state dict (`read_weights`). backbone: an image classifier of torchvision by name, or `package.module:factory`
    for the module whose weights they are. classes: text file, the name of each row of the classifier on a line; None:
    their numbers, for who only wants to embed.
    classifier: key of its weight [C,d] in the state dict, or a file (`read_classifier`); by default torchvision's last
    linear layer. A layer of the network that has this weight is taken off, so that the embedding is what went into it.
    scale, margin: of a cosine classifier (`frozen_head`); without them it is a SoftMax with its bias, if any.
    image_size, mean, std: what the network was trained on; pixels from 0 to 1, ImageNet's by default.

    Raises BctError naming the file or parameter for whatever does not fit together.
    """
    weights = read_weights(path)
    key, rows, bias = _classifier(path, weights, backbone, classifier)
    head = frozen_head(rows, bias, scale, margin)
    net = network_of_weights(path, weights, backbone, key, head.dim, image_size, mean, std)
    size = image_size or FACE
    width = embedding_width(net, size)
    if width != head.dim:
        hint = "; it looks transposed" if width == head.classes else ""
        raise BctError(
            f"the old classifier {classifier or key} has {head.dim} columns, but backbone {backbone} gives embeddings "
            f"of {width} elements{hint}"
        )
    if classes is None:
        names = tuple(map(str, range(head.classes)))
    else:
        names = read_class_names(classes, head.classes, f"the old classifier {classifier or key}")
    numbers = f"{scale} {margin} {image_size} {tuple(mean)} {tuple(std)}"
    digest = _digest([*sorted(weights.items()), ("rows", rows)], (backbone, str(key), *names, numbers))
    return Old(OldModel(net, head, names), digest, f"{backbone} of {path}, {_about_head(head)}", image_size)


def synthesised_old(
    features: np.ndarray, labels: Path | str, scale: float = 32.0, margin: float | None = 0.4, name: str = "features"
) -> Old:
    """An old model of which only features are left: a classifier is synthesised, a row for each class (Sec. 2.5).

    features: [n,d], of any norm. labels: text file with the class of each row, or the path of its image
    (`read_row_classes`). scale, margin: of the cosine head. name: for messages. Raises BctError for another number of
    labels than rows, and naming a row that is not finite and a class whose features cancel.
    """
    rows = read_row_classes(labels, len(features), name)
    names, numbers = np.unique(np.array(rows), return_inverse=True)
    array = torch.from_numpy(np.array(features, dtype=np.float32))
    head = head_of_features(array, torch.from_numpy(numbers), scale, margin, [str(each) for each in names])
    classes = tuple(map(str, names))
    digest = _digest([("rows", head.weight)], (*classes, f"{scale} {margin}"))
    about = f"{len(array):,} features of {name}, {_about_head(head)}"
    return Old(OldModel(NoNetwork(), head, classes), digest, about, None, has_network=False)


def network_of_weights(
    path: Path | str,
    weights: Weights,
    backbone: str,
    classifier: str | None,
    dim: int,
    image_size: tuple[int, int] | None = None,
    mean: Iterable[float] = IMAGENET_MEAN,
    std: Iterable[float] = IMAGENET_STD,
) -> SeenAs:
    """The network with these weights and without its classifier, frozen: images in [-1,1] to features [N,d].

    classifier: key of its weight, None where the network has none. dim: what a factory that takes `dim` is asked for.
    Raises BctError where weights are missing, left over or of another shape.
    """
    if is_import_path(backbone):
        net, _ = call_factory(backbone, dim)
    else:
        last = weights.get(f"{last_linear(torchvision_network(backbone), backbone)}.weight")
        net = torchvision_network(backbone, None if last is None or last.dim() != 2 else len(last))
    weights, layer = dict(weights), (classifier or "").removesuffix(".weight")
    if layer:
        for own in (f"{layer}.weight", f"{layer}.bias", classifier):
            weights.pop(own, None)
        if layer in dict(net.named_modules()):
            replace_layer(net, layer, nn.Identity())
    try:
        fit = net.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise BctError(f"{path} does not fit backbone {backbone}: {' '.join(str(error).split())[:300]}") from error
    for names, what in ((fit.missing_keys, "lacks"), (fit.unexpected_keys, "has also")):
        if names:
            more = f" and {len(names) - 1} other weights" if len(names) > 1 else ""
            raise BctError(f"{path} does not fit backbone {backbone}: it {what} {names[0]}{more}")
    return SeenAs(Features(net, backbone), image_size, mean, std).eval().requires_grad_(False)


def _classifier(
    path: Path | str, weights: Weights, backbone: str, given: str | None
) -> tuple[str | None, torch.Tensor, torch.Tensor | None]:
    """Key in the state dict of what is no part of the embedding (None: all is), weight [C,d], bias [C] or None."""
    key = given
    if given is None and not is_import_path(backbone):
        key = f"{last_linear(torchvision_network(backbone), backbone)}.weight"
    key = key if key in weights else f"{key}.weight"
    if key in weights:
        return key, weights[key], weights.get(f"{key.removesuffix('.weight')}.bias")
    if given and Path(given).is_file():
        rows, bias = read_classifier(given)
        return _stand_in(weights, backbone, rows), rows, bias
    there = ", ".join(matrices(weights)[-6:]) or "none"
    wanted = f"no key or file {given!r}" if given else "no classifier that bctlib could guess"
    raise BctError(f"{path}: {wanted}; expected the key of its weight [classes, dim], one of: {there}; or a file")


def _stand_in(weights: Weights, backbone: str, rows: torch.Tensor) -> str | None:
    """Key of the network's layer in whose place a classifier [C,d] from a file stands, None where there is none.

    That is the layer with this very weight; else the last one of a network of torchvision, unless it gives d elements:
    then it emits the embedding.
    """
    for key, weight in weights.items():
        if weight.shape == rows.shape and torch.equal(weight.float(), rows.float()):
            return key
    if is_import_path(backbone):
        return None
    key = f"{last_linear(torchvision_network(backbone), backbone)}.weight"
    return None if key in weights and len(weights[key]) == rows.shape[1] else key


def _about_head(head: Head) -> str:
    settings = "".join(f", {name} {value:g}" for name, value in head.settings().items())
    return f"{head.kind} classifier of {head.classes:,} classes x {head.dim}{settings}"


def _digest(tensors: Iterable[tuple[str, torch.Tensor]], texts: Iterable[str]) -> str:
    total = hashlib.sha256("\0".join(texts).encode(errors="surrogateescape"))
    for name, tensor in tensors:
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()[:16]
