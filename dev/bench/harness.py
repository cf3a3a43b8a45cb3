"""Shared by all parts of `bench training`: the amount of work, recipes and data, and the table of measured rows."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import torch

from bctlib.base.progress import clock
from bctlib.data.training_set import TrainingData, TrainingSet
from bctlib.methods import OldModel
from bctlib.models import ModelSpec
from bctlib.training.recipe import Recipe
from bctlib.training.scales import ScaleSettings
from companion.launcher.share.matrix_peak import MatrixPeak, matrix_peak
from companion.measure.training_speed import Passes, measure_training, timing_recipe
from companion.sources.generated import SIDE, generated_glyphs
from dev.bench.profiled import OperatorTime

HEADING = f"{'':<44}{'images/s':>10}{'s/pass':>10}{'ratio':>8}{'of peak':>9}"


@dataclass(frozen=True)
class Row:
    """The measured speed of one thing that processes images.

    seconds: for `images` images, the median of `passes` measured passes; least, most: of these passes.
    flops_per_image: as PyTorch counts them, None if not counted; share_of_peak: of `peak_flops_per_s`, the matrix
    product measured in the same run, 0 to 1. ratio: seconds per image over those of the row `ratio_to` of the same
    part. extrapolated: only some of the images of a pass were measured.
    """

    part: str
    name: str
    images: int
    seconds: float
    least: float
    most: float
    passes: int
    flops_per_image: float | None = None
    share_of_peak: float | None = None
    peak_flops_per_s: float | None = None
    ratio: float | None = None
    ratio_to: str | None = None
    extrapolated: bool = False
    note: str = ""

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds

    def text(self) -> str:
        seconds = clock(self.seconds) if self.seconds >= 100 else f"{self.seconds:.2f}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        share = "" if self.share_of_peak is None else f"{100 * self.share_of_peak:.0f} %"
        note = ", ".join(filter(None, ["extrapolated" if self.extrapolated else "", self.note]))
        columns = f"{self.name:<44}{self.images_per_s:>10,.0f}{seconds:>10}{ratio:>8}{share:>9}"
        return f"{columns}  {note}".rstrip()

    def as_dict(self) -> dict:
        return asdict(self) | {"images_per_s": self.images_per_s}


class Table:
    """The rows so far; each is printed when it is added."""

    def __init__(self, peak: MatrixPeak):
        self.peak, self.rows = peak, []

    def heading(self, title: str) -> None:
        print(f"\n{title}\n{HEADING}", flush=True)

    def find(self, part: str, name: str) -> Row:
        return next(row for row in self.rows if (row.part, row.name) == (part, name))

    def add(
        self, part: str, name: str, passes: Passes, flops: float | None = None, ratio_to: str | None = None,
        epoch: int | None = None, note: str = "",
    ) -> Row:  # fmt: skip
        """Add a row. flops: of one image; epoch: images of the whole pass, if only a part was measured."""
        images = epoch or passes.images
        grown = images / passes.images
        seconds = passes.median * grown
        share = None if flops is None else flops * images / seconds / self.peak.flops_per_s
        base = self.find(part, ratio_to) if ratio_to else None
        ratio = None if base is None else seconds / images / (base.seconds / base.images)
        row = Row(
            part, name, images, seconds, min(passes.seconds) * grown, max(passes.seconds) * grown, len(passes.seconds),
            flops, share, None if share is None else self.peak.flops_per_s, ratio, ratio_to, grown > 1, note,
        )  # fmt: skip
        self.rows.append(row)
        print(row.text(), flush=True)
        return row


@dataclass(frozen=True)
class Amount:
    """How much is measured.

    steps: of a pass; passes: that are measured; images_per_class: of the glyph set; growth: images of each epoch;
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
    """Settings, device and the rows so far. network: the network to train instead of the scale's."""

    settings: ScaleSettings
    amount: Amount
    device: torch.device
    table: Table
    network: str | None = None
    operators: list[OperatorTime] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Images of a measured pass."""
        return self.amount.steps * self.settings.schedule.batch

    @cached_property
    def data(self) -> TrainingSet:
        """A generated set with as many identities as the scale trains on."""
        classes = self.settings.source.n_train
        return generated_glyphs(max(classes * self.amount.images_per_class, self.images), classes, SIDE)

    def recipe(self, spec: ModelSpec) -> Recipe:
        """A model's recipe at this scale, with a rate so low that training on random labels does not diverge."""
        return timing_recipe(spec, self.settings, self.network or self.settings.backbones[spec.backbone])

    def measure(
        self, recipe: Recipe, data: TrainingData, old: OldModel | None = None, images: int | None = None,
        passes: int | None = None,
    ) -> Passes:  # fmt: skip
        """Train by the recipe, with passes of `images` images; both default to the benchmark's amount."""
        images, passes = images or self.images, passes or self.amount.passes
        return measure_training(recipe, data, old, self.device, images, passes)

    def in_turns(self, measurements: Mapping[str, Callable[[], Passes]]) -> dict[str, Passes]:
        """Measure all of them in turns, so that a machine that slows down slows all of them.

        Each turn also measures the matrix product; the table's peak becomes the median.
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
