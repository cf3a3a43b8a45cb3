"""Build the network of plain weights without its classifier. The log says what is removed, kept and ignored."""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bctlib.base import progress
from bctlib.base.errors import BctError, UsageError
from bctlib.base.foreign_networks import (
    AUXILIARY,
    Features,
    call_factory,
    embedding_width,
    is_import_path,
    last_linear,
    replace_layer,
    torchvision_network,
)
from bctlib.data.photos.framing import FACE, check_size
from bctlib.training.devices import autocast
from bctlib.upgrade.train.plain_weights import Weights, matrices, network_part, read_classifier, read_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NO_CLASSIFIER = "none"


class Preprocessed(nn.Module):
    """A network that needs its own image size and normalisation; the input is float32 [N,3,H,W] in [-1,1].

    size: (height, width), None for no resizing; mean, std: of each channel, of pixels in [0,1].
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


@dataclass(frozen=True)
class PlainNetwork:
    """A frozen network with given weights: images in [-1,1] to embeddings [N,dim].

    rows, bias: of its classifier, [C,d] and [C], None if it has none. taken: the key of the weight that was removed
    with the classifier. weights: the state dict it was made from, including the classifier's. settings: everything else
    it depends on.
    """

    net: Preprocessed
    dim: int
    rows: torch.Tensor | None
    bias: torch.Tensor | None
    taken: str | None
    weights: Weights
    settings: str

    @property
    def key(self) -> str:
        """16 hexadecimal digits that identify it and everything that its embeddings depend on."""
        return digest_of_tensors(sorted(self.weights.items()), (str(self.taken), self.settings))

    def to(self, device: torch.device) -> "PlainNetwork":
        """Move the network, in place."""
        self.net.to(device)
        return self

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 [N,dim] of float32 images [N,3,S,S] in the evaluation transform."""
        with autocast(images.device):
            z = self.net(images)
        return z.float()


def network_of_weights(
    path: Path | str,
    backbone: str,
    classifier: str | None,
    image_size: tuple[int, int] | None = None,
    mean: Iterable[float] = IMAGENET_MEAN,
    std: Iterable[float] = IMAGENET_STD,
    guess: bool = False,
) -> PlainNetwork:
    """The network with these weights and without its classifier. The log says which layer was removed.

    path: as for `read_weights`; one more prefix before all names of the network (`net.`) is detected and dropped.
    backbone: the name of an image classifier of torchvision, or `package.module:factory` of the module that has these
    weights. classifier: the key of its weight, or a file (`read_classifier`): the layer with this weight is removed;
    NO_CLASSIFIER: no layer is removed, the network outputs the embedding; None: not given. guess: if it is not given,
    remove torchvision's last layer. image_size: (height, width) to which images are resized. mean, std: of pixels in
    [0,1].

    Raises UsageError if the classifier must be given and for an invalid mean or std; BctError if it is not found, if
    weights are missing, unexpected, of another shape or integers, and if the network does not accept the images.
    """
    check_size(image_size)
    mean, std = _normalisation(mean, std)
    whole = read_weights(path)
    net, last, weights = _network(path, backbone, whole, classifier)
    rows, bias, taken = _classifier(path, whole, weights, last, classifier, guess)
    off = _take_off(net, last, weights, taken)
    _load(path, backbone, net, {name: each for name, each in weights.items() if not _belongs(name, taken)})
    seen = Preprocessed(Features(net, backbone), image_size, mean, std).eval().requires_grad_(False)
    dim = embedding_width(seen, image_size or FACE)
    if rows is not None and rows.dim() == 2 and rows.shape[1] != dim:
        hint = "; it looks transposed" if len(rows) == dim else ""
        raise BctError(
            f"the old classifier {classifier or taken} has {rows.shape[1]} columns, but backbone {backbone} gives "
            f"embeddings of {dim} elements{hint}"
        )
    progress.say(f"{path}: {off}; the embedding has {dim:,} elements")
    return PlainNetwork(seen, dim, rows, bias, taken, weights, f"{backbone} {image_size} {mean} {std}")


def _normalisation(mean: Iterable[float], std: Iterable[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Both as tuples. Raises UsageError unless they are for three channels of pixels in [0,1].

    Numbers for pixels from 0 to 255 would give every image nearly the same embedding.
    """
    checked = []
    for name, values, lowest, span in (
        ("mean", tuple(mean), 0.0, "from 0 to 1"),
        ("std", tuple(std), sys.float_info.min, "above 0 and up to 1"),
    ):
        real = all(isinstance(value, int | float | np.number) for value in values)
        if len(values) != 3 or not real or not all(lowest <= value <= 1 for value in values):
            raise UsageError(
                f"{name} is {' '.join(map(str, values))}: expected three numbers {span}, of pixels "
                "from 0 to 1; divide numbers for pixels from 0 to 255 by 255"
            )
        checked.append(values)
    return checked[0], checked[1]


def digest_of_tensors(tensors: Iterable[tuple[str, torch.Tensor]], texts: Iterable[str]) -> str:
    """Digest of texts, and of names and values of dense tensors, as 16 hexadecimal digits."""
    total = hashlib.sha256("\0".join(texts).encode(errors="surrogateescape"))
    for name, tensor in tensors:
        total.update(name.encode(errors="surrogatepass"))
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()[:16]


def _network(
    path: Path | str, backbone: str, whole: Weights, classifier: str | None
) -> tuple[nn.Module, str | None, Weights]:
    """The network without loaded weights; its last linear layer if it is torchvision's; and its part of the weights."""
    if is_import_path(backbone):
        net = _custom_network(path, backbone, whole, _dims(whole, classifier))
        return net, None, _part(path, backbone, whole, net)
    net = torchvision_network(backbone)
    last, weights = last_linear(net, backbone), _part(path, backbone, whole, net)
    own = weights.get(f"{last}.weight")
    if own is not None and own.dim() == 2:
        layer = net.get_submodule(last)
        replace_layer(net, last, nn.Linear(layer.in_features, len(own), layer.bias is not None))
    return net, last, weights


def _part(path: Path | str, backbone: str, whole: Weights, net: nn.Module) -> Weights:
    """The network's part of the weights, by its own names; the log says which weights were ignored."""
    prefix, weights = network_part(path, whole, net.state_dict().keys())
    if prefix:
        others = Counter(name.split(".")[0] for name in whole if not name.startswith(prefix))
        left = ", ".join(f"{name} ({n} tensor{'s' if n > 1 else ''})" for name, n in others.items())
        progress.say(f"{path}: the network consists of the weights {prefix}*{f'; ignored: {left}' if left else ''}")
    if auxiliary := AUXILIARY.get(backbone):
        weights = {name: each for name, each in weights.items() if name.split(".")[0] not in auxiliary}
        progress.say(
            f"{path}: {backbone} without {' and '.join(auxiliary)} and without transform_input: for weights that "
            "torchvision has trained give 0.5 as mean and std"
        )
    return weights


def _custom_network(path: Path | str, backbone: str, whole: Weights, dims: list[int]) -> nn.Module:
    """The network of a factory; if it takes `dim`, the first of `dims` for which the shapes match the weights."""
    first = None
    for dim in dims:
        net, takes_dim = call_factory(backbone, dim)
        first = net if first is None else first
        own = net.state_dict()
        _, part = network_part(path, whole, own.keys())
        if not takes_dim or all(own[name].shape == part[name].shape for name in own.keys() & part.keys()):
            return net
    return first


def _dims(whole: Weights, classifier: str | None) -> list[int]:
    """Possible dimensions of the embedding, most likely first: columns of the classifier, else rows of a layer."""
    if classifier in (None, NO_CLASSIFIER):
        found = [len(whole[name]) for name in reversed(matrices(whole))]
    else:
        ends = tuple(f".{key}" for key in _keys(classifier))
        found = [each.shape[-1] for name, each in whole.items() if f".{name}".endswith(ends) and each.dim() > 1]
        if not found and Path(classifier).is_file():
            found = [read_classifier(classifier)[0].shape[-1]]
    return list(dict.fromkeys(found)) or [len(each) for each in whole.values() if each.dim()][-1:] or [1]


def _classifier(
    path: Path | str, whole: Weights, weights: Weights, last: str | None, given: str | None, guess: bool
) -> tuple[torch.Tensor | None, torch.Tensor | None, str | None]:
    """Weight [C,d] and bias [C] of the classifier, None if there is none, and the key of the layer to remove for it.

    whole: all weights of the file; weights: those of the network. last: its last layer, if it is torchvision's.
    """
    lacks_last = last and f"{last}.weight" not in weights
    if given == NO_CLASSIFIER or (given is None and not guess and lacks_last):
        return None, None, None
    if given is None and not guess:
        raise UsageError(f"{path}: {_question(last, weights)}")
    named = given or last
    for tensors in (weights, whole):
        for key in _keys(named) if named else ():
            if key in tensors:
                if tensors[key].dim() < 2:
                    shape = " x ".join(map(str, tensors[key].shape)) or "a single number"
                    raise BctError(
                        f"{path}: {key} is a vector ({shape}): expected the key of the classifier's weight "
                        f"[classes, dim], one of: {_there(weights)}"
                    )
                rows, bias = tensors[key], tensors.get(f"{key.removesuffix('.weight')}.bias")
                return rows, bias, key if tensors is weights else _stand_in(weights, last, rows)
    if given and Path(given).is_file():
        rows, bias = read_classifier(given)
        return rows, bias, _stand_in(weights, last, rows)
    wanted = f"no key or file {given!r}" if given else "no classifier that bctlib could guess"
    raise BctError(
        f"{path}: {wanted}; expected the key of its weight [classes, dim], one of: {_there(weights)}; a file of it; or "
        f"{NO_CLASSIFIER}, where there is no classifier"
    )


def _question(last: str | None, weights: Weights) -> str:
    if last is None:
        return (
            "does its network have a classifier? expected --classifier none if the network emits the embedding, else "
            f"the key of the classifier's weight, one of: {_there(weights)}"
        )
    shape = weights[f"{last}.weight"].shape
    return (
        f"is its last layer {last} a classifier, or does it emit the embedding? expected --classifier {last} ("
        f"removed: embeddings of {shape[-1]:,} elements) or --classifier none (kept: {shape[0]:,})"
    )


def _there(weights: Weights) -> str:
    return ", ".join(matrices(weights)[-6:]) or "none"


def _keys(given: str) -> tuple[str, str]:
    return given, f"{given}.weight"


def _stand_in(weights: Weights, last: str | None, rows: torch.Tensor) -> str | None:
    """Key of the network's layer that a classifier [C,d] from another source replaces, None if there is no such layer.

    This is the layer with exactly this weight; otherwise the last layer of a network of torchvision, unless that layer
    has d outputs: then it outputs the embedding.
    """
    for key, weight in weights.items():
        if weight.shape == rows.shape and torch.equal(weight.float(), rows.float()):
            return key
    if last is None:
        return None
    key = f"{last}.weight"
    return None if key in weights and len(weights[key]) == rows.shape[-1] else key


def _belongs(name: str, taken: str | None) -> bool:
    """Whether a weight belongs to the classifier: its weight or its bias."""
    layer = (taken or "").removesuffix(".weight")
    return bool(taken) and name in (taken, f"{layer}.weight", f"{layer}.bias")


def _take_off(net: nn.Module, last: str | None, weights: Weights, taken: str | None) -> str:
    """Remove the classifier, and the last layer if the weights lack it. Returns a description of what was done."""
    did, off = [], (taken or "").removesuffix(".weight")
    if off in dict(net.named_modules()) and taken in weights:
        shape = " x ".join(f"{n:,}" for n in weights[taken].shape)
        did.append(f"{off} ({shape}) was removed as its classifier")
        replace_layer(net, off, nn.Identity())
    if last and f"{last}.weight" not in weights:
        did.append(f"{last} was removed because its weights are missing")
        replace_layer(net, last, nn.Identity())
    return ", ".join(did) or "no layer was removed"


def _load(path: Path | str, backbone: str, net: nn.Module, weights: Weights) -> None:
    own = net.state_dict()
    for name, tensor in weights.items():
        if name in own and own[name].is_floating_point() and not tensor.is_floating_point():
            raise BctError(f"{path}: {name} holds integers ({tensor.dtype}): expected the weights as real numbers")
    try:
        fit = net.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise BctError(f"{path} does not fit backbone {backbone}: {' '.join(str(error).split())[:300]}") from error
    for names, what in ((fit.missing_keys, "lacks"), (fit.unexpected_keys, "has also")):
        if names:
            more = f" and {len(names) - 1} other weights" if len(names) > 1 else ""
            raise BctError(f"{path} does not fit backbone {backbone}: it {what} {names[0]}{more}")
