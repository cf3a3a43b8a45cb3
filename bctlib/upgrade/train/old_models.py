"""The old model in any available form: a bctlib model file, plain PyTorch weights, or features alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bctlib.base import progress
from bctlib.base.errors import BctError, UsageError, as_user_error
from bctlib.base.foreign_networks import as_sentence
from bctlib.base.network_code import code_of
from bctlib.data.photos.class_names import one_form, read_class_names, read_row_classes
from bctlib.data.photos.framing import FACE
from bctlib.losses import Head, frozen_head, head_of_features
from bctlib.methods import OldModel
from bctlib.training.artefact import load_artefact
from bctlib.upgrade.train.weights_network import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    NO_CLASSIFIER,
    Preprocessed,
    digest_of_tensors,
    network_of_weights,
)


@dataclass(frozen=True)
class Old:
    """An old model that a new one can be trained against.

    digest: 16 hexadecimal digits that identify it in recipes. about: a description for people. image_size: (height,
    width) that its network expects, None if unknown. has_network: False if only its classifier is left.
    """

    model: OldModel
    digest: str
    about: str
    image_size: tuple[int, int] | None = None
    has_network: bool = True

    def renamed(self, names: Mapping[str, str]) -> "Old":
        """The same model with other class names. names: new name by old name. Raises BctError for an unknown old name,
        and if two classes would get the same name."""
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


class NoNetwork(nn.Module):
    """Placeholder for an old network that can no longer be run."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise BctError("the old network cannot be run: only features of it are left")


def old_from_artefact(path: Path | str, custom_network: str | None = None) -> Old:
    """A model that bctlib has trained. custom_network: as for `load_artefact`. Raises BctError as it does."""
    artefact = load_artefact(Path(path), custom_network)
    old, size = artefact.as_old(), artefact.image_size or FACE
    old.classes = tuple(one_form(old.classes, str(path)))
    old.backbone = Preprocessed(old.backbone, size, (0.5,) * 3, (0.5,) * 3)
    with as_sentence(f"of {path}", size):
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

    path: state dict (`read_weights`). backbone: the name of an image classifier of torchvision, or
    `package.module:factory` for the module that has these weights. classes: text file with the name of each row of the
    classifier, one per line; None: the row numbers, which is enough for embedding.
    classifier: key of its weight [C,d] in the state dict, or a file (`read_classifier`); by default torchvision's last
    linear layer. The layer of the network with this weight is removed, so that the embedding is its input; the log says
    which layer.
    scale, margin: of a cosine classifier (`frozen_head`); without them it is a SoftMax with its bias, if any.
    image_size, mean, std: those of the network's training; mean and std of pixels from 0 to 1, ImageNet's by default.

    Raises BctError naming the file or parameter if these do not fit together.
    """
    if classifier == NO_CLASSIFIER:
        raise UsageError(
            f"{path}: an old model without a classifier is given by its features: embed images of its classes by it "
            "(bctlib embed --classifier none), and give the features with their labels"
        )
    mean, std = tuple(mean), tuple(std)
    if image_size is None:
        progress.say(f"{path}: no image size was given, its network sees the images in the new model's size")
    plain = network_of_weights(path, backbone, classifier, image_size, mean, std, guess=True)
    with as_user_error():
        head = frozen_head(plain.rows, plain.bias, scale, margin)
    if classes is None:
        names = tuple(map(str, range(head.classes)))
    else:
        names = read_class_names(classes, head.classes, f"the old classifier {classifier or plain.taken}")
    numbers = f"{scale} {margin} {image_size} {mean} {std}"
    code = code_of(backbone)
    named = (f"{backbone} {code}" if code else backbone, str(plain.taken), *names, numbers)
    digest = digest_of_tensors([*sorted(plain.weights.items()), ("rows", plain.rows)], named)
    return Old(OldModel(plain.net, head, names), digest, f"{backbone} of {path}, {_about_head(head)}", image_size)


def synthesised_old(
    features: np.ndarray, labels: Path | str, scale: float = 32.0, margin: float | None = 0.4, name: str = "features"
) -> Old:
    """An old model of which only features are left: synthesise a classifier with one row for each class (Sec. 2.5).

    features: [n,d], of any norm. labels: text file with the class of each row, or the path of its image
    (`read_row_classes`). scale, margin: of the cosine head. name: for messages. Raises BctError if the numbers of
    labels and rows differ, and naming a row that is not finite or a class whose features cancel.
    """
    rows = read_row_classes(labels, len(features), name)
    names, numbers = np.unique(np.array(rows), return_inverse=True)
    array = torch.from_numpy(np.array(features, dtype=np.float32))
    with as_user_error():
        head = head_of_features(array, torch.from_numpy(numbers), scale, margin, [str(each) for each in names])
    classes = tuple(map(str, names))
    digest = digest_of_tensors([("rows", head.weight)], (*classes, f"{scale} {margin}"))
    about = f"{len(array):,} features of {name}, {_about_head(head)}"
    return Old(OldModel(NoNetwork(), head, classes), digest, about, None, has_network=False)


def _about_head(head: Head) -> str:
    settings = "".join(f", {name} {value:g}" for name, value in head.settings().items())
    return f"{head.kind} classifier of {head.classes:,} classes x {head.dim}{settings}"
