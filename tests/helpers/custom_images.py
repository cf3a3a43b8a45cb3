"""Somebody's images for the tests: coloured shapes with noise, in a folder by class; and somebody's own networks."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 80, 230), "yellow": (225, 205, 40)}
SHAPES = ("disc", "square", "triangle", "cross")
CLASSES = tuple(f"{colour} {shape}" for shape in SHAPES for colour in COLOURS)


def draw(name: str, seed: int, side: int = 32) -> Image.Image:
    """One image of a class: its shape at a random place and size on a grey ground, with noise."""
    rng = np.random.default_rng([seed, CLASSES.index(name)])
    colour, shape = name.split()
    image = Image.new("RGB", (side, side), (int(rng.integers(90, 160)),) * 3)
    pen, r = ImageDraw.Draw(image), side * rng.uniform(0.25, 0.38)
    x, y = rng.uniform(r, side - r, 2)
    if shape == "disc":
        pen.ellipse((x - r, y - r, x + r, y + r), COLOURS[colour])
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), COLOURS[colour])
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], COLOURS[colour])
    else:
        pen.line((x - r, y, x + r, y), COLOURS[colour], 5)
        pen.line((x, y - r, x, y + r), COLOURS[colour], 5)
    noisy = np.asarray(image) + rng.normal(0, 18, (side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def write_images(root: Path, classes: tuple[str, ...], per_class: int, first_seed: int = 0) -> Path:
    """ROOT/CLASS/000.png and so on; every third as .jpg."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            draw(name, first_seed + i).save(root / name / f"{i:03d}.{'png' if i % 3 else 'jpg'}")
    return root


def tensors(root: Path, mean: float = 0.5, std: float = 0.5) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """float32 [N,3,S,S], int64 [N] and class names, read without the library: sorted by class, then name."""
    names = sorted(folder.name for folder in root.iterdir())
    images, labels = [], []
    for label, name in enumerate(names):
        for path in sorted((root / name).iterdir()):
            pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
            images.append((torch.from_numpy(pixels).permute(2, 0, 1) - mean) / std)
            labels.append(label)
    return torch.stack(images), torch.tensor(labels), names


def train_plainly(net: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int, rate: float = 0.005) -> None:
    """A few epochs of plain PyTorch: cross-entropy on what the network returns."""
    optimiser = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    net.train()
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
        for chosen in order.split(32):
            if len(chosen) > 1:
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
                optimiser.step()
    net.eval()


def small_net() -> nn.Module:
    """Features [N,32,H,W] of images [N,3,H,W]: what a user's own factory without `dim` may give."""
    layers = [nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32)]
    return nn.Sequential(*layers, nn.ReLU())


def net_with_dim(dim: int) -> nn.Module:
    """Embeddings [N,dim]: what a user's own factory with `dim` may give."""
    return nn.Sequential(small_net(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, dim))


class Classifier(nn.Module):
    """A network with its classifier inside: `trunk`, then `head.fc`, as people write them."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.trunk = nn.Sequential(small_net(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.ModuleDict({"fc": nn.Linear(32, classes)})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head["fc"](self.trunk(images))


def flat_wrong(dim: int) -> nn.Module:
    """Gives 7 elements whatever it is asked for."""
    return nn.Sequential(small_net(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 7))


def only_64() -> nn.Module:
    """Takes images of 64 x 64 alone."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 8))


class TwoAnswers(nn.Module):
    """Returns a tuple."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images.flatten(1), images


def failing() -> nn.Module:
    raise RuntimeError("no licence for this network")


def no_module() -> int:
    return 3


NOT_CALLABLE = 3


class Explodes(nn.Module):
    """Its embedding is NaN in training."""

    def __init__(self, dim: int):
        super().__init__()
        self.inside = net_with_dim(dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.inside(images)
        return found * float("nan") if self.training else found
