"""The training loop measured as it is: the data note when each pass over them begins."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from bctlib.base.share import Share
from bctlib.data.training_set import Distort, TrainingData
from bctlib.training.loop import train
from bctlib.methods import OldModel
from bctlib.training.recipe import Recipe


class TimedSet:
    """`TrainingData` around another set, of which a pass takes `images`, spread evenly over all of it.

    on_pass is called with the number of the pass, from 0, as it begins. began: when each one did, in seconds of
    `time.perf_counter`. preparing: seconds in which every image was seen once before training, by methods that do so.
    """

    def __init__(self, inner: TrainingData, images: int, on_pass: Callable[[int], None] = lambda number: None):
        self.inner, self.images, self.on_pass = inner, images, on_pass
        self.began: list[float] = []
        self.preparing: float | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.inner.classes

    def __len__(self) -> int:
        return self.images

    def to(self, device: torch.device) -> "TimedSet":
        self.inner = self.inner.to(device)
        return self

    def batches(self, order: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        self.on_pass(len(self.began))
        self.began.append(time.perf_counter())
        yield from self.inner.batches(order * (len(self.inner) // self.images), size)

    def distortion(self, settings: Mapping[str, Any]) -> Distort:
        return self.inner.distortion(settings)

    def plain_batches(
        self, size: int = 1024, share: Share | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """All of the inner set, whatever the share: there is one process here."""
        began = time.perf_counter()
        yield from self.inner.plain_batches(size)
        self.preparing = time.perf_counter() - began


@dataclass(frozen=True)
class Passes:
    """Seconds of each measured pass over `images` images; preparing: as `TimedSet` says."""

    images: int
    seconds: tuple[float, ...]
    preparing: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __add__(self, other: "Passes") -> "Passes":
        """Both measurements of one thing together."""
        return replace(self, seconds=self.seconds + other.seconds)


def measure_training(
    recipe: Recipe, data: TrainingData, old: OldModel | None, device: torch.device, images: int, passes: int
) -> Passes:
    """Train by the recipe, with a pass that does not count and then `passes` that do.

    A pass ends in the loop's look at its loss, for which a GPU must have finished.
    """
    timed = TimedSet(data, images)
    recipe = replace(recipe, schedule=replace(recipe.schedule, epochs=1 + passes))
    train(recipe, timed, old, device, "benchmark")
    times = [*timed.began[1:], time.perf_counter()]
    seconds = tuple(end - begin for begin, end in zip(times, times[1:], strict=False))
    return Passes(images, seconds, timed.preparing)
