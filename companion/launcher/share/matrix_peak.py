"""What a device can compute at most, as measured, and what a piece of work asks of it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from bctlib.losses import build_head
from bctlib.networks import build_backbone
from bctlib.training.devices import has_bf16
from bctlib.training.recipe import Recipe

SIDE = {"cpu": 2048, "cuda": 8192}
"""Sides of the square matrices that are multiplied: large enough that only arithmetic counts."""


@dataclass(frozen=True)
class MatrixPeak:
    """Floating-point operations a second of a large matrix product; a multiplication and an addition are two.

    dtype: "bfloat16" where training uses it on this device, else "float32". seconds: of one product, the median.
    """

    dtype: str
    side: int
    seconds: float

    @property
    def flops_per_s(self) -> float:
        return 2 * self.side**3 / self.seconds


def wait_for(device: torch.device) -> None:
    """Let everything that was given to a GPU be finished; a CPU has nothing outstanding."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_peak(device: torch.device, side: int | None = None, repeats: int = 7) -> MatrixPeak:
    """Measure it in the precision of training, after one product that does not count."""
    side = side or SIDE[device.type]
    dtype = torch.bfloat16 if has_bf16(device) else torch.float32
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(1 + repeats):
        wait_for(device)
        began = time.perf_counter()
        torch.mm(one, other)
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    return MatrixPeak(str(dtype).removeprefix("torch."), side, statistics.median(seconds[1:]))


def flops_by_operator(work: Callable[[], object]) -> dict[str, int]:
    """Floating-point operations that PyTorch counts in `work`, by the operator's name: "aten::convolution_backward"."""
    with FlopCounterMode(display=False) as counter:
        work()
    return {f"aten::{str(op).split('.')[-1]}": count for op, count in counter.get_flop_counts()["Global"].items()}


def training_flops(network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> dict[str, float]:
    """By operator and image: forward and backward of `network` on a batch [N,...], which may be on the meta device.

    Element by element work (normalisation, ReLU, distortion, the optimiser) is not counted, as is usual.
    """
    counts = flops_by_operator(lambda: network(images).sum().backward())
    return {name: count / len(images) for name, count in counts.items()}


def flops_of(recipe: Recipe, classes: int, shape: tuple[int, int, int]) -> dict[str, float]:
    """Operations of one image [C,H,W] in training, by operator: network and head, forward and backward.

    Only shapes are followed; nothing is computed.
    """
    with torch.device("meta"):
        backbone = build_backbone(recipe.backbone, recipe.dim)
        head = build_head(recipe.head, classes, recipe.dim, **recipe.head_settings)
        return training_flops(lambda images: head.logits(backbone(images)), torch.empty(8, *shape))
