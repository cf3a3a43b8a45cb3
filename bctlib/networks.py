"""Embedding networks phi: image to embedding (paper Sec. 3.2).

Each ends with global average pooling and a linear layer whose output is the embedding. Table 3 shows that a ReLU on
the embedding breaks compatibility; `relu=True` builds that model.
"""

from collections.abc import Callable

import torch
from torch import nn

from bctlib.base.errors import BctError
from bctlib.base.foreign_networks import build_custom, split_size


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a shortcut."""

    def __init__(self, width_in: int, width_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)
        self.shortcut = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class GlobalAverage(nn.Module):
    """[N,C,H,W] to [N,C]. A plain mean: the adaptive pooling layer is not deterministic on CUDA."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.is_contiguous(memory_format=torch.channels_last):
            # Bitwise the same sums, but the gradient has the memory layout of x and is ten times as fast on a CPU.
            return x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)
        return x.mean((2, 3))


def _small_trunk(
    blocks: int, widths: tuple[int, ...] = (16, 32, 128), channels: int = 1, kernel: int = 3, stride: int = 2
) -> tuple[nn.Module, int]:
    """A small residual net: a stem (kernel, stride), then a stage of blocks per width; all but the first halve it."""
    stem = nn.Conv2d(channels, widths[0], kernel, stride, (kernel - 1) // 2, bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm2d(widths[0]), nn.ReLU()]
    width = widths[0]
    for stage, out in enumerate(widths):
        for block in range(blocks):
            layers.append(ResidualBlock(width, out, 2 if stage and not block else 1))
            width = out
    return nn.Sequential(*layers), width


def _torchvision_trunk(name: str) -> tuple[nn.Module, int]:
    """A torchvision ResNet up to its last feature map; a grey image is repeated over its three input channels."""
    import torchvision  # slow to import, and glyph nets do not need it

    net = torchvision.models.get_model(name, weights=None)
    width = net.fc.in_features
    return nn.Sequential(*list(net.children())[:-2]), width


BACKBONES: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "glyphnet": lambda: _small_trunk(blocks=1),
    "glyphnet-deep": lambda: _small_trunk(blocks=2),
    "glyphnet-norm": lambda: _small_trunk(blocks=1),
    "glyphnet-deep-norm": lambda: _small_trunk(blocks=2),
    # Other candidates of the recipe search: as many images a second, but wider layers on fewer pixels.
    "glyphnet-stride3": lambda: _small_trunk(blocks=1, widths=(32, 64, 128), kernel=5, stride=3),
    "glyphnet-stride4": lambda: _small_trunk(blocks=1, widths=(64, 128), kernel=7, stride=4),
    # For rehearsals of paper scale, whose photographs have three channels. Not narrower: with 4 or 8 channels the
    # bfloat16 convolutions of torch 2.13 corrupt memory in the backward pass on two CPU threads.
    "rehearsal-net": lambda: _small_trunk(blocks=1, widths=(16, 16, 32), channels=3),
    "rehearsal-net-deep": lambda: _small_trunk(blocks=2, widths=(16, 16, 32), channels=3),
    "resnet18": lambda: _torchvision_trunk("resnet18"),
    "resnet50": lambda: _torchvision_trunk("resnet50"),
    "resnet101": lambda: _torchvision_trunk("resnet101"),
    "resnet152": lambda: _torchvision_trunk("resnet152"),
}


class EmbeddingNet(nn.Module):
    """phi: float32 images [N,C,S,S] to embeddings [N,dim].

    trunk: images to a feature map of `width` channels. relu: the failing variant of Table 3. normalised: whether batch
    normalisation follows the linear layer, as in common face networks.
    """

    def __init__(self, trunk: nn.Module, width: int, dim: int, relu: bool = False, normalised: bool = False):
        super().__init__()
        self.trunk = trunk
        self.pool = GlobalAverage()
        self.embed = nn.Linear(width, dim)
        if normalised:
            self.embed = nn.Sequential(self.embed, nn.BatchNorm1d(dim, affine=False))
        self.relu = relu
        first = next(m for m in trunk.modules() if isinstance(m, nn.Conv2d))
        self.channels = first.in_channels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[1] == 1 and self.channels == 3:
            images = images.expand(-1, 3, -1, -1)
        z = self.embed(self.pool(self.trunk(images)))
        return torch.relu(z) if self.relu else z


def build_backbone(name: str, dim: int, relu: bool = False) -> nn.Module:
    """A freshly initialised phi with embeddings of `dim` elements.

    name: a key of BACKBONES, or a network for `bctlib.base.foreign_networks`, optionally with `@HEIGHTxWIDTH`, the
    size of its images. The paper's are resnet101 and resnet152 at 112 x 112 (Sec. 3.2); every trunk of BACKBONES takes
    any size. Raises BctError for an unknown name, and as `build_custom` does.
    """
    plain, _ = split_size(name)
    if plain in BACKBONES:
        trunk, width = BACKBONES[plain]()
        return EmbeddingNet(trunk, width, dim, relu, normalised=plain.endswith("-norm"))
    if relu:
        raise BctError(f"unknown backbone {name!r} for an embedding with ReLU: expected one of {', '.join(BACKBONES)}")
    return build_custom(name, dim)
