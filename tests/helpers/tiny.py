"""Training sets, recipes and networks small enough to train in a fraction of a second, a pool and a row of results."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bctlib.data.templates import ImagePool
from bctlib.data.training_set import TrainingSet
from bctlib.training.recipe import Recipe, Schedule

SIDE = 12


def tiny_set(classes: str = "abcd", per_class: int = 16, side: int = SIDE, seed: int = 0) -> TrainingSet:
    """One smooth blob pattern per class name, the same for a name in every set, and a weaker one per image."""
    images = []
    for name in classes:
        rng = torch.Generator().manual_seed(1000 * seed + ord(name))
        pattern = torch.randn(1, 1, 4, 4, generator=rng) + 0.3 * torch.randn(per_class, 1, 4, 4, generator=rng)
        smooth = F.interpolate(pattern, size=(side, side), mode="bilinear")
        images.append((255 * torch.sigmoid(4 * smooth[:, 0])).to(torch.uint8))
    labels = torch.arange(len(classes)).repeat_interleave(per_class)
    return TrainingSet(torch.cat(images), labels, tuple(classes))


def tiny_recipe(**changes: Any) -> Recipe:
    """Two epochs of two steps on `tiny_set()`; schedule fields may be given as `epochs=`, `rate=` and so on."""
    schedule = {"kind": "one-cycle", "epochs": 2, "batch": 32, "rate": 0.1}
    schedule |= {name: changes.pop(name) for name in list(changes) if name in Schedule.__dataclass_fields__}
    recipe = {
        "data": "tiny blobs", "share": 1.0, "seed": 0, "backbone": "glyphnet", "dim": 8,
        "head": "cosine-margin", "method": "independent", "head_settings": {"scale": 8.0, "margin": 0.2},
    }  # fmt: skip
    return Recipe(**{**recipe, "schedule": Schedule(**schedule), **changes})


def linear_net(pixels: int, dim: int, seed: int) -> nn.Sequential:
    """An embedding that can be computed by hand: flattened pixels times a matrix, plus a bias."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(pixels, dim))
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    return net


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether all parameters and buffers agree to the last bit."""
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def pool_of(n: int = 9, seed: int = 0) -> ImagePool:
    rng = np.random.default_rng(seed)
    zeros = np.zeros(n, np.int64)
    return ImagePool(zeros, zeros, zeros, rng.integers(0, 256, (n, SIDE, SIDE)).astype(np.uint8))


def row(**changes) -> dict:
    fixed = {"seed": 0, "method": "BCT", "query_model": "new-bct", "gallery_model": "old", "protocol": "verification"}
    measured = {"metric": "TAR@FAR", "operating_point": 1e-4, "value": 0.75, "n_behind": 1000, "seconds": 1.5}
    origin = {"device": "cpu: X, 2 threads", "versions": "bctlib 0.1.0", "commit": "abc"}
    return fixed | measured | origin | changes
