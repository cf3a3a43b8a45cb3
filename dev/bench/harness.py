"""What all parts of `bench training` share: how much is measured, on which recipes and data."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from dev.bench.generated_images import generated_glyphs
from dev.bench.matrix_peak import matrix_peak, training_flops
from dev.bench.timed import Passes, measure_training
from dev.bench.training_profile import OperatorTime
from dev.bench.training_rows import Table
from bctlib.data.training_set import TrainingData, TrainingSet
from bctlib.networks import build_backbone
from bctlib.losses import build_head
from bctlib.methods import OldModel
from bctlib.models import ModelSpec
from bctlib.training.recipe import Recipe
from bctlib.training.scales import ScaleSettings

SIDE = 28


@dataclass(frozen=True)
class Amount:
    """How much is measured.

    steps: of a pass; passes: that count; images_per_class: of the glyph set; growth: images of each epoch;
    photographs: decoded in a pass; photo_steps, photo_batch, photo_net: of the step that decoding is compared with.
    """

    steps: int
    passes: int
    images_per_class: int
    growth: tuple[int, ...]
    photographs: int
    photo_steps: int
    photo_batch: int
    photo_net: str


@dataclass
class Bench:
    """Settings, device and the rows so far. network: which of the scale's settings.backbones is trained."""

    settings: ScaleSettings
    amount: Amount
    device: torch.device
    table: Table
    network: str | None = None
    operators: list[OperatorTime] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Of a measured pass."""
        return self.amount.steps * self.settings.schedule.batch

    @cached_property
    def data(self) -> TrainingSet:
        """As many identities as the scale trains on."""
        classes = self.settings.n_train
        return generated_glyphs(max(classes * self.amount.images_per_class, self.images), classes, SIDE)

    def recipe(self, spec: ModelSpec) -> Recipe:
        """A model's recipe at this scale, at a rate at which random labels make nothing diverge."""
        backbone = self.network or self.settings.backbones[spec.backbone]
        return Recipe(
            data="generated", share=spec.share, seed=0, backbone=backbone, dim=spec.dim,
            head="cosine-margin", method=spec.method, schedule=replace(self.settings.schedule, rate=1e-4),
            head_settings={"scale": self.settings.head_scale, "margin": self.settings.margin},
            options=dict(spec.options), distortion=dict(self.settings.distortion),
        )  # fmt: skip

    def measure(
        self, recipe: Recipe, data: TrainingData, old: OldModel | None = None, images: int | None = None,
        passes: int | None = None,
    ) -> Passes:  # fmt: skip
        """Train by the recipe; passes of `images` images, by default as the benchmark's amount says."""
        images, passes = images or self.images, passes or self.amount.passes
        return measure_training(recipe, data, old, self.device, images, passes)

    def in_turns(self, measurements: Mapping[str, Callable[[], Passes]]) -> dict[str, Passes]:
        """All of them once, again and again: a machine that grows slower does so for all.

        Between the turns the matrix product is measured too, and the table's peak is the median.
        """
        measured: dict[str, Passes] = {}
        peaks = []
        for _ in range(self.amount.passes):
            peaks.append(matrix_peak(self.device, self.table.peak.side).seconds)
            for name, measure in measurements.items():
                passes = measure()
                measured[name] = measured[name] + passes if name in measured else passes
        self.table.peak = replace(self.table.peak, seconds=statistics.median(peaks))
        return measured

    def say(self, sentence: str) -> None:
        """Print a sentence, and keep it for the file."""
        self.sentences.append(sentence)
        print(sentence, flush=True)


def flops_of(recipe: Recipe, classes: int, shape: tuple[int, int, int]) -> dict[str, float]:
    """Of one image [C,H,W] in training, by operator: network and head, forward and backward. Nothing is computed."""
    with torch.device("meta"):
        backbone = build_backbone(recipe.backbone, recipe.dim)
        head = build_head(recipe.head, classes, recipe.dim, **recipe.head_settings)
        return training_flops(lambda images: head.responses(backbone(images)), torch.empty(8, *shape))
