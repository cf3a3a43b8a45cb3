"""How fast the unchanged loop trains: timed passes, and the images per second on which plans rest.

A rate is measured on generated images in a few seconds (`measured_rate`), or it is a guess (`guessed_rate`): for a GPU
that is not there, and where nobody may wait.

    python -m companion.measure.training_speed

enters the rates of both precisions on one core of this machine into the results, from which README and notebooks have
them (`companion.tables.training_time`).
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import torch

from bctlib.base.errors import UsageError
from bctlib.base.progress import hidden
from bctlib.base.share import Share
from bctlib.data.training_set import Distort, TrainingData
from bctlib.methods import OldModel
from bctlib.models import MODELS, ModelSpec
from bctlib.training.devices import choose_device, has_bf16, in_float32, precision, training_provenance
from bctlib.training.loop import train
from bctlib.training.recipe import Recipe
from bctlib.training.run_state import BUSY
from bctlib.training.scales import ScaleSettings
from companion.results import save_rows
from companion.workbench import ScaleData, scale_data


class TimedSet:
    """`TrainingData` around another set, of which a pass takes `images`, spread evenly over all of it.

    on_pass is called with the number of the pass, from 0, when it begins. limits_s: of the first passes: such a pass
    ends early, with the batch during which so many seconds were over. began: when each one began, in seconds of
    `time.perf_counter`; given: images of each. preparing: seconds of the pass over all images before training, for
    methods that need one.
    """

    def __init__(
        self, inner: TrainingData, images: int, on_pass: Callable[[int], None] = lambda number: None,
        limits_s: tuple[float, ...] = (),
    ):  # fmt: skip
        self.inner, self.images, self.on_pass, self.limits_s = inner, images, on_pass, limits_s
        self.began: list[float] = []
        self.given: list[int] = []
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
        number, stored = len(self.began), len(self.inner)
        self.on_pass(number)
        self.began.append(time.perf_counter())
        self.given.append(0)
        for images, labels in self.inner.batches(order * max(1, stored // self.images) % stored, size):
            yield images, labels
            self.given[number] += len(labels)
            if number < len(self.limits_s) and time.perf_counter() - self.began[number] >= self.limits_s[number]:
                return

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


def timing_recipe(spec: ModelSpec, settings: ScaleSettings, network: str) -> Recipe:
    """A model's recipe at a scale, with a rate so low that training on random labels does not diverge."""
    return Recipe(
        data="generated", share=spec.share, seed=0, backbone=network, dim=spec.dim, head="cosine-margin",
        method=spec.method, schedule=replace(settings.schedule, rate=1e-4),
        head_settings={"scale": settings.head_scale, "margin": settings.margin},
        options=dict(spec.options), distortion=dict(settings.distortion),
    )  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Images per second of independent training of a network.

    where: precision and device, or for a guess what it was guessed for. core_share: of a core, that a measured training
    on a CPU had.
    """

    network: str
    images_per_s: float
    where: str
    measured: bool = False
    core_share: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether other programs took the core away."""
        return self.core_share is not None and self.core_share < BUSY

    def __str__(self) -> str:
        """`2,710 images/s, bfloat16, 1 thread, glyphnet-norm`."""
        return f"{self.images_per_s:,.0f} images/s, {self.where}, {self.network}"


ONE_CORE, ONE_GPU = "one core with bfloat16", "one GPU"
# Of images of glyphs, and for the ResNets of 112 x 112 pixels. The glyph nets: about what the committed models of the
# desk took, each on one core of a server; the ResNets: not tried on any GPU yet.
GUESSES: dict[str, tuple[int, str]] = {
    "glyphnet": (3000, ONE_CORE), "glyphnet-deep": (1800, ONE_CORE), "glyphnet-norm": (3000, ONE_CORE),
    "glyphnet-deep-norm": (1800, ONE_CORE), "rehearsal-net": (3000, ONE_CORE), "rehearsal-net-deep": (1800, ONE_CORE),
    "resnet18": (12000, ONE_GPU), "resnet50": (4000, ONE_GPU),
    "resnet101": (2000, ONE_GPU), "resnet152": (1400, ONE_GPU),
}  # fmt: skip


def guessed_rate(data: ScaleData, network: str, device: str = "auto") -> Rate:
    """A rate that nobody measured here; the device plays no part."""
    images_per_s, where = GUESSES[network]
    return Rate(network, images_per_s / data.image_cost, where)


WARM_S, TIMED_S = 0.3, 1.5
"""Seconds of steps that are not counted (the first ones set up kernels), and of those that are."""
_IMAGES = 1024
_STEPS = 4096  # at most, in each of the two passes

_measured: dict[tuple, Rate] = {}


def measured_rate(data: ScaleData, network: str, device: str = "auto") -> Rate:
    """The rate of training `network` on images as those of `data`, held in memory, on this device as it is now.

    Takes WARM_S and TIMED_S the first time in a process, more where one step takes longer; later calls return the same.
    A guess where the device is not there, and for the ResNets without a GPU. Measured with the threads that torch has;
    on a GPU in a process of its own, so that this one holds none of it.
    """
    try:
        on = choose_device(device)
    except UsageError:
        return guessed_rate(data, network)
    if on.type == "cpu" and GUESSES[network][1] == ONE_GPU:
        return guessed_rate(data, network)
    batch = data.settings.schedule.batch
    key = (network, batch, data.image_size, str(on), precision(on), torch.get_num_threads())
    if key not in _measured:
        if on.type == "cuda":
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                _measured[key] = pool.submit(_measure, data, network, on).result()
        else:
            _measured[key] = _measure(data, network, on)
    return _measured[key]


def _measure(data: ScaleData, network: str, on: torch.device) -> Rate:
    recipe = timing_recipe(MODELS["new*"], data.settings, network)
    schedule = replace(recipe.schedule, epochs=2, batch=min(recipe.schedule.batch, _IMAGES))
    cpu: list[float] = []
    timed = TimedSet(
        data.generated(_IMAGES), _STEPS * schedule.batch, lambda number: cpu.append(time.thread_time()),
        (WARM_S, TIMED_S),
    )  # fmt: skip
    with hidden():
        train(replace(recipe, schedule=schedule), timed, None, on, "measuring")
    seconds = time.perf_counter() - timed.began[1]
    if on.type == "cuda":
        return Rate(network, timed.given[1] / seconds, f"{precision(on)}, {torch.cuda.get_device_name(on)}", True)
    threads = torch.get_num_threads()
    where = f"{precision(on)}, {threads} thread{'s' if threads > 1 else ''}"
    return Rate(network, timed.given[1] / seconds, where, True, (time.thread_time() - cpu[1]) / seconds)


SPEED_TABLE, TRAINING, IMAGES_PER_S = "training_speed", "training", "images per second"
"""Table, protocol and metric of the saved rates; their operating point is the network."""


def save_training_speed(scale: str = "desk", turns: int = 5) -> dict[str, float]:
    """Measure the scale's base network in each precision that this CPU has, and save a row of each; returns them.

    In images per second of one thread's CPU time, which other programs hardly change: the median over `turns` in which
    the precisions alternate. n_behind: the turns.
    """
    data, cpu, threads = scale_data(scale), torch.device("cpu"), torch.get_num_threads()
    network = data.settings.backbones["base"]
    ways = [in_float32, *([nullcontext] if has_bf16(cpu) else [])]
    rates: dict[str, list[float]] = {}
    origins: dict[str, dict[str, str]] = {}
    torch.set_num_threads(1)
    try:
        for way in ways * turns:
            with way():
                rate, kind = _measure(data, network, cpu), precision(cpu)
                origins[kind] = training_provenance(cpu)
            rates.setdefault(kind, []).append(rate.images_per_s / rate.core_share)
    finally:
        torch.set_num_threads(threads)
    found = {kind: statistics.median(each) for kind, each in rates.items()}
    measured = {
        "seed": 0, "method": "independent", "query_model": "new*", "gallery_model": "new*", "protocol": TRAINING,
        "metric": IMAGES_PER_S, "operating_point": network, "n_behind": turns, "seconds": 0.0,
    }  # fmt: skip
    save_rows([measured | origins[kind] | {"value": value} for kind, value in found.items()], scale, SPEED_TABLE)
    return found


if __name__ == "__main__":
    for kind, value in save_training_speed(*sys.argv[1:2]).items():
        print(f"{kind}: {value:,.0f} images per second of one core")
