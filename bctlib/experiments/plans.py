"""What a target would train and how long that should take; nothing is trained here."""

from collections.abc import Iterable
from dataclasses import dataclass

from bctlib.experiments.workbench import Workbench, with_ancestors
from bctlib.training import store
from bctlib.training.model_list import find_model

# Training images per second: measured on 2 cores of a 2023 server processor with bfloat16 for the glyph nets; for the
# ResNets a guess for one recent GPU, as this scale was not run on one yet.
IMAGES_PER_S = {
    "glyphnet": 4300, "glyphnet-deep": 2600,
    "resnet18": 12000, "resnet50": 4000, "resnet101": 2000, "resnet152": 1400,
}  # fmt: skip
OLD_PASS = {"l2": 1.2, "lwf": 1.2, "bct-kd": 1.2}
"""What a method that also runs the old network costs, relative to one that does not."""


@dataclass(frozen=True)
class PlannedModel:
    """A model of a target: whether the store holds it, and seconds of training if not."""

    name: str
    seed: int
    cached: bool
    estimated_s: float


def plan(models: Iterable[str], scale: str, seeds: Iterable[int]) -> list[PlannedModel]:
    """The named models and the old models they need, each before those that need it.

    Raises UsageError for an unknown model or scale, and BctError when the scale's data are not there.
    """
    names = list(with_ancestors(tuple(models)))
    return [_planned(Workbench(scale, seed, device="cpu"), name) for seed in seeds for name in names]


def _planned(bench: Workbench, name: str) -> PlannedModel:
    recipe, spec = bench.recipe(name), find_model(name)
    held = bench.glyphs.present[bench.split.train].mean() * len(bench.glyphs.typefaces)
    images = bench.settings.n_train * spec.share * held * recipe.schedule.epochs
    seconds = images / IMAGES_PER_S[recipe.backbone] * OLD_PASS.get(recipe.method, 1.0)
    return PlannedModel(name, bench.seed, store.is_trained(recipe), seconds)
