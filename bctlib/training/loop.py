"""The training loop, the same for every method, head and scale.

`Objective` computes the loss of one step from a batch of images; DistributedDataParallel wraps it.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from bctlib.base import progress
from bctlib.base.errors import BctError, as_user_error
from bctlib.base.share import to_device
from bctlib.data.training_set import TrainingData
from bctlib.losses import Head, build_head
from bctlib.methods import Batch, Method, OldModel, Preparation, build_method
from bctlib.networks import build_backbone
from bctlib.training.checkpoint import Checkpoint
from bctlib.training.devices import InTrainingPrecision, accelerated, autocast
from bctlib.training.processes import current_group
from bctlib.training.recipe import Recipe, Schedule
from bctlib.training.run_state import RunState


class Objective(nn.Module):
    """The method's loss of phi_new and its head on distorted images; its parameters are all trained parameters."""

    def __init__(self, backbone: nn.Module, head: Head, method: Method, preparation: Preparation):
        super().__init__()
        self.backbone, self.head = backbone, head
        self.of_method = nn.ParameterList(method.parameters())
        self.method, self.old, self.new_to_old = method, preparation.old, preparation.new_to_old.cpu()

    def forward(self, images: torch.Tensor, labels: torch.Tensor, draws: torch.Tensor, progress: float) -> torch.Tensor:
        """A scalar, the sum over the images divided by N.

        images: float32 [N,C,S,S]. labels: int64 [N], draws: float32 [N], both on the CPU; progress: as in `Batch`.
        """
        old_labels, device = self.new_to_old[labels], images.device
        with autocast(device):
            embedding = self.backbone(images.contiguous(memory_format=torch.channels_last)).float()
        labels, seen = to_device(labels, device), old_labels >= 0
        batch = Batch(images, labels, to_device(old_labels, device), self.old, embedding, seen, draws, progress)
        return self.method.loss(batch, self.head)


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
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train one model by its recipe on `data` (all of it), against the old model `old`, if the method uses one.

    Initial weights, order and distortion derive from the recipe's key. checkpoint: where the run is saved after every
    epoch (and every few minutes), and from which it resumes. Raises BctError when the method needs an old model and
    there is none, when a new embedding is shorter than the old one, and when the checkpoint cannot be written; Diverged
    when the loss is not finite; UsageError when the processes (`bctlib.training.processes`) cannot share a batch.
    """
    with as_user_error():
        method = build_method(recipe.method, **recipe.options)
    if method.needs_old and old is None:
        raise BctError(f"method {recipe.method!r} needs an old model, but the recipe names none")
    if method.needs_old and recipe.dim < old.dim:
        raise BctError(f"{label}: dim is {recipe.dim}, expected at least {old.dim}, the old model's")
    if old is not None:
        old = OldModel(InTrainingPrecision(old.backbone), old.head, old.classes)
    schedule, data, processes = recipe.schedule, data.to(device), current_group()
    share = processes.share_of_batch(schedule.batch, len(data))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hash_seed(recipe.key))
        backbone = build_backbone(recipe.backbone, recipe.dim, recipe.relu)
        plain_batches = partial(data.plain_batches, share=processes.share(len(data)))
        preparation = Preparation(
            data.classes, device, plain_batches, old, processes.sum, processes.least,
            partial(processes.rows_of_all, total=share.total), partial(processes.with_common_norms, device=device),
        )  # fmt: skip
        method.prepare(preparation)
        classes = method.head_classes(preparation)
        head = method.build_head(lambda n: build_head(recipe.head, n, recipe.dim, **recipe.head_settings), len(classes))
    processes.with_common_norms(backbone, device).to(device, memory_format=torch.channels_last).train()
    head.to(device).train()
    objective = processes.parallel(Objective(accelerated(backbone, device), head, method, preparation))
    optimiser = torch.optim.SGD(
        [p for p in objective.parameters() if p.requires_grad], lr=schedule.rate, momentum=schedule.momentum,
        nesterov=schedule.nesterov, weight_decay=schedule.weight_decay, fused=True,
    )  # fmt: skip
    distort = data.distortion(recipe.distortion)
    steps_per_epoch = max(1, len(data) // schedule.batch)
    steps = schedule.epochs * steps_per_epoch
    run = RunState(label, backbone, head, method.parameters(), optimiser, schedule.epochs, steps_per_epoch, checkpoint)
    run.resume()

    def figures() -> dict[str, float | str]:
        return {"loss": run.loss, "images_per_s": run.steps * schedule.batch / run.seconds} | run.busy_note()

    with progress.task(label, total=schedule.epochs, elapsed_s=run.seconds) as task:
        for epoch in range(run.epoch, schedule.epochs):
            order = torch.randperm(len(data), generator=step_generator(recipe.key, epoch, -1))
            left = share.of_each(order[run.step * schedule.batch : steps_per_epoch * schedule.batch])
            for step, (stored, labels) in enumerate(data.batches(left, len(share)), start=run.step):
                run.begin_step()
                done = epoch * steps_per_epoch + step
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate(schedule, done, steps)
                images = distort(stored, step_generator(recipe.key, epoch, step), share)
                draws = share.of(torch.rand(share.total, generator=step_generator(recipe.key, epoch, -2 - step)))
                loss = share.weight * objective(images, labels, draws, done / steps)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                run.add(processes.mean(loss.detach()))
                task.part(epoch + run.step / steps_per_epoch, figures)
            run.end_epoch()
            task.step(epoch + 1, **figures())
    backbone.eval()
    transform = method.finish(backbone, preparation)
    seconds = run.seconds
    return Trained(
        backbone.requires_grad_(False), head.eval().requires_grad_(False), transform, classes, run.losses,
        seconds, steps * schedule.batch / seconds,
    )  # fmt: skip
