"""The one training loop: every method, every head, every scale."""

import math
import time
from dataclasses import dataclass

import torch
from torch import nn

from bctlib import progress
from bctlib.data.training_set import TrainingData
from bctlib.errors import BctError, Diverged
from bctlib.training.backbones import build_backbone
from bctlib.training.devices import autocast
from bctlib.training.heads import Head, build_head
from bctlib.training.methods import Batch, OldModel, Preparation, build_method
from bctlib.training.recipe import Recipe, Schedule


@dataclass
class Trained:
    """The outcome of training: networks in evaluation mode, the head's class names, and the loss of each epoch."""

    backbone: nn.Module
    head: Head
    transform: nn.Module | None
    classes: tuple[str, ...]
    losses: list[float]
    seconds: float
    images_per_s: float


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """The rate of a step (counted from 0) out of all `steps` of the run."""
    if schedule.kind == "one-cycle":
        warm = max(1, round(schedule.warm_up * steps))
        if step < warm:
            return schedule.rate * (step + 1) / warm
        return schedule.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    if schedule.kind == "steps":
        epoch = step * schedule.epochs // steps
        return schedule.rate * 0.1 ** sum(epoch >= drop for drop in schedule.drops)
    raise BctError(f"unknown schedule {schedule.kind!r}: expected one-cycle or steps")


def step_generator(key: str, epoch: int, step: int) -> torch.Generator:
    """Random numbers of one step: they depend on recipe, epoch and step alone, so a run can be cut and resumed."""
    return torch.Generator().manual_seed(hash_seed(key, epoch, step))


def hash_seed(key: str, *numbers: int) -> int:
    """A 63-bit seed from a recipe's key and some counters, the same on every machine."""
    state = int(key, 16)
    for number in numbers:
        state = (state ^ (number + 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9 % (1 << 64)
        state ^= state >> 29
    return state >> 1


def train(
    recipe: Recipe,
    data: TrainingData,
    old: OldModel | None,
    device: torch.device,
    label: str = "model",
) -> Trained:
    """Train one model by its recipe on `data` (all of it), in view of `old` if the method needs one.

    Initial weights, order and distortion derive from the recipe's key. Raises BctError when the method needs an old
    model and there is none, when a new embedding is shorter than the old one, and when the loss is not finite.
    """
    method = build_method(recipe.method, **recipe.options)
    if method.needs_old and old is None:
        raise BctError(f"method {recipe.method!r} needs an old model, but the recipe names none")
    if method.needs_old and recipe.dim < old.dim:
        raise BctError(f"{label}: dim is {recipe.dim}, expected at least {old.dim}, the old model's")
    schedule, data = recipe.schedule, data.to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hash_seed(recipe.key))
        backbone = build_backbone(recipe.backbone, recipe.dim, recipe.relu)
        preparation = Preparation(data.classes, device, data.plain_batches, old)
        method.prepare(preparation)
        classes = method.head_classes(preparation)
        head = method.build_head(lambda n: build_head(recipe.head, n, recipe.dim, **recipe.head_settings), len(classes))
    backbone.to(device, memory_format=torch.channels_last).train()
    head.to(device).train()
    parameters = [p for m in (backbone, head) for p in m.parameters() if p.requires_grad] + list(method.parameters())
    optimiser = torch.optim.SGD(
        parameters, lr=schedule.rate, momentum=schedule.momentum, nesterov=schedule.nesterov,
        weight_decay=schedule.weight_decay,
    )  # fmt: skip
    distort = data.distortion(recipe.distortion)
    steps_per_epoch = max(1, len(data) // schedule.batch)
    steps = schedule.epochs * steps_per_epoch
    losses: list[float] = []
    began = time.perf_counter()
    with progress.task(label, total=schedule.epochs) as task:
        for epoch in range(schedule.epochs):
            order = torch.randperm(len(data), generator=step_generator(recipe.key, epoch, -1)).to(device)
            total = torch.zeros((), device=device)
            batches = data.batches(order[: steps_per_epoch * schedule.batch], schedule.batch)
            for step, (stored, labels) in enumerate(batches):
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate(schedule, epoch * steps_per_epoch + step, steps)
                images = distort(stored, step_generator(recipe.key, epoch, step))
                batch = Batch(images, labels, preparation.new_to_old[labels], old)
                with autocast(device):
                    batch.embedding = backbone(images.contiguous(memory_format=torch.channels_last)).float()
                method.replace(batch)
                loss = method.loss(batch, head)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                total += loss.detach()
            losses.append(total.item() / steps_per_epoch)
            if not math.isfinite(losses[-1]):
                raise Diverged(f"{label}: the loss is {losses[-1]} in epoch {epoch + 1}: lower the rate or lambda")
            images_done = (epoch + 1) * steps_per_epoch * schedule.batch
            task.step(epoch + 1, loss=losses[-1], images_per_s=images_done / (time.perf_counter() - began))
    backbone.eval()
    transform = method.finish(backbone, preparation)
    seconds = time.perf_counter() - began
    return Trained(
        backbone.requires_grad_(False), head.eval().requires_grad_(False), transform, classes, losses,
        seconds, steps * schedule.batch / seconds,
    )  # fmt: skip
