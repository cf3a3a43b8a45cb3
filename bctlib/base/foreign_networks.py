"""Networks that bctlib does not define: a torchvision classifier by its name, or your nn.Module by import path.

A recipe names them with the size of their images, `NAME@HEIGHTxWIDTH`: `mobilenet_v3_small@112x112`,
`my_package.my_net:build@64x64`. If the factory `build` has a parameter `dim`, it is called with it and returns
embeddings [N,dim]. Otherwise it is called without arguments and returns features [N,F], or feature maps [N,F,H,W] that
are averaged, and a linear layer to the embedding is added.
"""

import contextlib
import importlib
import inspect
import re
from collections.abc import Callable, Iterator

import torch
from torch import nn

from bctlib.base.errors import BctError, UsageError

# Auxiliary classifiers of torchvision networks, with an output of their own in training.
AUXILIARY = {"googlenet": ("aux1", "aux2"), "inception_v3": ("AuxLogits",)}
_ONE_VALUE = "Expected more than 1 value per channel"  # what PyTorch's batch normalisation says
_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")


def with_size(name: str, size: tuple[int, int]) -> str:
    """The network's name in a recipe, for images of (height, width) pixels."""
    return f"{name}@{size[0]}x{size[1]}"


def split_size(name: str) -> tuple[str, tuple[int, int] | None]:
    """The network's plain name and the images it is made for, None where its recipe does not say."""
    plain, at, text = name.partition("@")
    if not at:
        return plain, None
    if not (found := _SIZE.fullmatch(text)):
        raise BctError(f"backbone {name!r}: expected NAME@HEIGHTxWIDTH, as in resnet18@112x112")
    return plain, (int(found[1]), int(found[2]))


def is_import_path(name: str) -> bool:
    """Whether the name is an import path, whose code is imported to build the network."""
    return ":" in name


class Features(nn.Module):
    """A user's network whose output is averaged over space if needed and checked: features [N,F]. name: for messages.

    Raises BctError for any other output.
    """

    def __init__(self, net: nn.Module, name: str):
        super().__init__()
        self.net = net
        self.name = name

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with _exact(images.device):
            found = self.net(images)
        if not isinstance(found, torch.Tensor):
            raise BctError(f"network {self.name} returns {type(found).__name__}, expected one tensor [N,features]")
        if found.dim() == 4:
            found = found.mean((2, 3))
        if found.dim() != 2 or len(found) != len(images):
            shape, n = tuple(found.shape), len(images)
            raise BctError(f"network {self.name} returns shape {shape} for {n} images, expected [{n},features]")
        return found


@contextlib.contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """float32 on a CPU: its bfloat16 convolutions are unsafe for narrow layers (see `bctlib.networks.BACKBONES`)."""
    if device.type == "cpu":
        with torch.autocast("cpu", enabled=False):
            yield
    else:
        yield


class CustomNetwork(nn.Module):
    """phi: float32 images [N,3,H,W] to embeddings [N,dim], by a user's network and, for features, a linear layer."""

    def __init__(self, features: Features, embed: nn.Module):
        super().__init__()
        self.features = features
        self.embed = embed

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.embed(self.features(images))


def build_custom(name: str, dim: int, size: tuple[int, int] = (112, 112)) -> CustomNetwork:
    """A freshly initialised network by its name in a recipe, of torchvision or by import path.

    size: (height, width) of its images, if the name does not give it. Raises BctError for a name that is neither, for
    an import or a factory that fails, and for a network that rejects images [N,3,H,W] or returns another shape.
    """
    plain, named = split_size(name)
    if is_import_path(plain):
        net, gives_embedding = call_factory(plain, dim)
    else:
        net, gives_embedding = torchvision_network(plain), False
        replace_layer(net, last_linear(net, plain), nn.Identity())
    features = Features(net, plain)
    width = embedding_width(features, named or size)
    if gives_embedding and width != dim:
        raise BctError(f"network {plain} was asked for dim={dim} and gives embeddings of {width} elements")
    return CustomNetwork(features.train(), nn.Identity() if gives_embedding else nn.Linear(width, dim))


def embedding_width(net: nn.Module, size: tuple[int, int]) -> int:
    """d of a network's output [N,d], found with black images. Raises BctError if it cannot take images."""
    net.eval()
    with torch.no_grad(), as_sentence(getattr(net, "name", type(net).__name__), size):
        return net(torch.zeros(2, 3, *size)).shape[1]


@contextlib.contextmanager
def as_sentence(name: str, size: tuple[int, int]) -> Iterator[None]:
    """Turn any error that the network raises inside the block into a BctError of one sentence."""
    try:
        yield
    except BctError:
        raise
    except Exception as error:
        height, width = size
        if _ONE_VALUE in str(error):
            raise BctError(
                f"network {name} normalises over the batch, and one image of 3 x {height} x {width} is not enough for "
                "that: expected --batch 2 or more, or larger images"
            ) from error
        raise BctError(f"network {name} fails on images of 3 x {height} x {width}: {_reason(error)}") from error


def torchvision_network(name: str) -> nn.Module:
    """A torchvision image classifier with random weights and without its AUXILIARY classifiers.

    Raises BctError for a name that torchvision does not have.
    """
    import torchvision  # slow to import

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        examples = "resnet18, convnext_tiny, efficientnet_b0, mobilenet_v3_small"
        raise BctError(
            f"unknown backbone {name!r}: expected glyphnet or another of bctlib's, an image classifier of torchvision "
            f"({examples}, ...), or a network of your own as package.module:factory"
        )
    options = {"aux_logits": False, "init_weights": True} if name in AUXILIARY else {}
    return torchvision.models.get_model(name, weights=None, **options)


def call_factory(path: str, dim: int) -> tuple[nn.Module, bool]:
    """The network that `package.module:factory` makes, and whether it took `dim`. Raises UsageError on failure."""
    module, _, attribute = path.partition(":")
    try:
        factory: Callable = importlib.import_module(module)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except Exception as error:
        raise UsageError(f"cannot import {path!r}: {_reason(error)}; expected package.module:factory") from error
    if not callable(factory):
        raise UsageError(f"{path} is a {type(factory).__name__}, expected a function or class that makes a network")
    try:
        takes_dim = "dim" in inspect.signature(factory).parameters
        net = factory(dim=dim) if takes_dim else factory()
    except Exception as error:
        raise UsageError(f"{path} failed to make a network: {_reason(error)}") from error
    if not isinstance(net, nn.Module):
        raise UsageError(f"{path} made a {type(net).__name__}, expected a torch.nn.Module")
    return net, takes_dim


def last_linear(net: nn.Module, name: str) -> str:
    """The name of a classifier's last linear layer (`fc`, `classifier.6`). Raises BctError if it has none."""
    found = [layer for layer, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not found:
        raise BctError(
            f"backbone {name} has no linear layer as its classifier, to be taken off: expected another (squeezenet's "
            "classifier is a convolution)"
        )
    return found[-1]


def replace_layer(net: nn.Module, layer: str, by: nn.Module) -> None:
    """Put another module in the place of the named one."""
    parent, _, child = layer.rpartition(".")
    setattr(net.get_submodule(parent), child, by)


def _reason(error: Exception) -> str:
    """The first line of the error, for a sentence."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
