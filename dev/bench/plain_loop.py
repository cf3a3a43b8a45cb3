"""A training loop as in common public code, for comparison: same network, head, optimiser and pictures.

A DataLoader with worker processes; each image by itself through PIL transforms of the same kind and strength as our
distortion; float32 in PyTorch's default memory layout; the loss fetched after each step. Pictures lie in memory here
too, where public code would read files.
"""

import math
import time

import torch
import torchvision.transforms as T
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from bctlib.data.distortion import TrainingDistortion
from bctlib.data.training_set import TrainingSet
from bctlib.losses import build_head
from bctlib.networks import build_backbone
from bctlib.training.recipe import Recipe
from companion.launcher.share.matrix_peak import wait_for
from companion.measure.training_speed import Passes


class AddNoise:
    """Normal noise on a tensor."""

    def __init__(self, deviation: float):
        self.deviation = deviation

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.deviation * torch.randn_like(image)


def transforms(settings: TrainingDistortion) -> T.Compose:
    """One PIL image in, float32 [1,S,S] out; the same kinds of distortion with the same bounds."""
    shear = math.degrees(math.atan(settings.shear))
    return T.Compose([
        T.RandomAffine(
            settings.rotation, (settings.shift, settings.shift), settings.scale, shear,
            interpolation=T.InterpolationMode.BILINEAR,
        ),
        T.ColorJitter(brightness=settings.brightness, contrast=settings.contrast),
        T.ToTensor(),
        T.Normalize(0.5, 0.5),
        AddNoise(settings.noise),
    ])  # fmt: skip


class PlainSet(Dataset):
    """`count` random images of a set, one by one."""

    def __init__(self, data: TrainingSet, settings: TrainingDistortion, count: int):
        self.images, self.labels = data.images.numpy(), data.labels.tolist()
        self.transform, self.count = transforms(settings), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        position = position * 7919 % len(self.labels)
        return self.transform(Image.fromarray(self.images[position])), self.labels[position]


def measure_plain(
    recipe: Recipe, data: TrainingSet, device: torch.device, images: int, passes: int, workers: int
) -> Passes:
    """Seconds of a long pass in pieces of `images`; the first piece, in which the workers start, is not counted.

    images: a multiple of the recipe's batch.
    """
    schedule = recipe.schedule
    backbone = build_backbone(recipe.backbone, recipe.dim).to(device).train()
    head = build_head(recipe.head, len(data.classes), recipe.dim, **recipe.head_settings).to(device).train()
    optimiser = torch.optim.SGD(
        [*backbone.parameters(), *head.parameters()], lr=schedule.rate, momentum=schedule.momentum,
        nesterov=schedule.nesterov, weight_decay=schedule.weight_decay,
    )  # fmt: skip
    dataset = PlainSet(data, TrainingDistortion(**recipe.distortion), (1 + passes) * images)
    loader = DataLoader(dataset, schedule.batch, shuffle=True, num_workers=workers, pin_memory=device.type == "cuda")
    times, total = [], 0.0
    for step, (pictures, labels) in enumerate(loader, 1):
        pictures, labels = pictures.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        loss = head.loss(backbone(pictures), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item()
        if step * schedule.batch % images == 0:
            wait_for(device)
            times.append(time.perf_counter())
    return Passes(images, tuple(end - begin for begin, end in zip(times, times[1:], strict=False)))
