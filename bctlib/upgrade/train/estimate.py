"""How long a training should take: one real step on this device, measured before it starts."""

import time

import torch

from bctlib.data.training_set import TrainingData
from bctlib.networks import build_backbone
from bctlib.training.devices import autocast
from bctlib.methods import OldModel, build_method
from bctlib.base.foreign_networks import split_size, understood
from bctlib.training.recipe import Recipe

_IMAGES = 32  # of the measured step: enough to fill a processor, few enough to cost little


def training_seconds(
    recipe: Recipe, data: TrainingData, old: OldModel | None, unseen: int, device: torch.device, size: tuple[int, int]
) -> float:
    """About the seconds that `train` will take.

    unseen: classes that the old head does not know; size: (height, width), for messages. The step also shows whether
    network and images fit: raises BctError that says how they do not, and naming an image that cannot be read.
    """
    with torch.random.fork_rng(devices=[]):
        net = build_backbone(recipe.backbone, recipe.dim, recipe.relu).to(device).train()
    data = data.to(device)
    distort = data.distortion(recipe.distortion)
    chosen = torch.arange(min(len(data), recipe.schedule.batch, _IMAGES))
    began = time.perf_counter()
    ((stored, _),) = data.batches(chosen, len(chosen))
    reading = (time.perf_counter() - began) / max(1, getattr(data, "workers", 1))
    images = distort(stored, torch.Generator().manual_seed(0))
    method = build_method(recipe.method, **recipe.options)
    for _ in range(2):  # the first prepares kernels and memory
        began = time.perf_counter()
        with understood(split_size(recipe.backbone)[0], size), autocast(device):
            net(images).float().square().mean().backward()
        if old is not None and method.runs_old(unseen):
            with autocast(device):
                old.embed(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        step = time.perf_counter() - began
    return recipe.schedule.epochs * len(data) * max(step, reading) / len(chosen)
