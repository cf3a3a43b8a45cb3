"""Measures the unchanged training loop: seconds of each pass, and the share of each PyTorch operator in them."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bctlib.base.share import Share
from bctlib.data.training_set import Distort, TrainingData
from bctlib.methods import OldModel
from bctlib.training.loop import train
from bctlib.training.recipe import Recipe
from dev.bench.matrix_peak import MatrixPeak, wait_for


class TimedSet:
    """`TrainingData` around another set, of which a pass takes `images`, spread evenly over all of it.

    on_pass is called with the number of the pass, from 0, when it begins. began: when each one began, in seconds of
    `time.perf_counter`. preparing: seconds of the pass over all images before training, for methods that need one.
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
        """All of the inner set; the share is ignored, because there is one process."""
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
        """Both measurements together."""
        return replace(self, seconds=self.seconds + other.seconds)


def measure_training(
    recipe: Recipe, data: TrainingData, old: OldModel | None, device: torch.device, images: int, passes: int
) -> Passes:
    """Train by the recipe: one pass that is not counted, then `passes` that are.

    A pass ends when the loop reads its loss, for which a GPU must have finished.
    """
    timed = TimedSet(data, images)
    recipe = replace(recipe, schedule=replace(recipe.schedule, epochs=1 + passes))
    train(recipe, timed, old, device, "benchmark")
    times = [*timed.began[1:], time.perf_counter()]
    seconds = tuple(end - begin for begin, end in zip(times, times[1:], strict=False))
    return Passes(images, seconds, timed.preparing)


@dataclass(frozen=True)
class OperatorTime:
    """share: of the time of all operators, without those that they call. share_of_peak: None where it multiplies no
    matrices, as far as PyTorch counts."""

    name: str
    share: float
    calls: int
    share_of_peak: float | None = None

    @property
    def above_peak(self) -> float:
        """The share of the time that would be saved at the matrix peak, or without the operator if it has none."""
        return self.share * (1 - min(1.0, self.share_of_peak or 0.0))


def profile_training(
    recipe: Recipe, data: TrainingData, device: torch.device, images: int, flops: dict[str, float], peak: MatrixPeak
) -> list[OperatorTime]:
    """The operators of one pass over `images` images, after one that is not counted; the most expensive first.

    flops: of an image, by operator.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler reports about itself on stderr
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    profiler = profile(activities=activities)
    timed = TimedSet(data, images, on_pass=lambda number: profiler.start() if number == 1 else None)
    train(replace(recipe, schedule=replace(recipe.schedule, epochs=2)), timed, None, device, "profile")
    wait_for(device)
    profiler.stop()
    kind = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    times = {event.key: (getattr(event, kind), event.count) for event in profiler.key_averages()}
    whole = sum(microseconds for microseconds, _ in times.values())
    found = []
    for name, (microseconds, calls) in times.items():
        counted = _flops_of(name, flops) * images
        reached = counted / (microseconds * 1e-6) / peak.flops_per_s if counted and microseconds else None
        found.append(OperatorTime(name, microseconds / whole, calls, reached))
    return sorted(found, key=lambda operator: -operator.share)


def _flops_of(name: str, flops: dict[str, float]) -> float:
    """Operations of an operator by its executed name: oneDNN and cuDNN rename convolutions."""
    library = {"aten::mkldnn_convolution": "aten::convolution", "aten::cudnn_convolution": "aten::convolution"}
    return flops.get(library.get(name, name), 0.0)


def bottleneck(operators: list[OperatorTime]) -> str:
    """A sentence that names the operator with the most time to save."""
    next_one = max(operators, key=lambda operator: operator.above_peak)
    reached = next_one.share_of_peak
    how = "which multiplies no matrices" if reached is None else f"at {100 * reached:.0f} % of the matrix peak"
    return f"next bottleneck: {next_one.name}, {100 * next_one.share:.0f} % of the time, {how}"


def operator_table(operators: list[OperatorTime], rows: int = 8) -> str:
    """The most expensive operators, one line each."""
    lines = [f"{'operator':<44}{'of time':>10}{'calls':>10}{'of peak':>17}"]
    for operator in operators[:rows]:
        reached = "" if operator.share_of_peak is None else f"{100 * operator.share_of_peak:.0f} %"
        lines.append(f"{operator.name:<44}{100 * operator.share:>8.1f} %{operator.calls:>10}{reached:>17}".rstrip())
    return "\n".join(lines)
