"""What a target would train and how long that should take; nothing is trained here."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from bctlib.data.photos.framing import FACE
from bctlib.base.errors import UsageError
from companion.experiments import find_table
from companion.workbench import Workbench, with_ancestors
from bctlib.training import store
from bctlib.methods import METHODS
from bctlib.models import find_model

# Training images per second: measured on 2 cores of a 2023 server processor with bfloat16 for the glyph nets; for the
# ResNets a guess for one recent GPU at 112 x 112, as these scales were not run on one yet.
IMAGES_PER_S = {
    "glyphnet": 4300, "glyphnet-deep": 2600,
    "rehearsal-net": 4300, "rehearsal-net-deep": 2600,
    "resnet18": 12000, "resnet50": 4000, "resnet101": 2000, "resnet152": 1400,
}  # fmt: skip


@dataclass(frozen=True)
class PlannedModel:
    """A model of a target: whether the store holds it, and seconds of training if not."""

    name: str
    seed: int
    cached: bool
    estimated_s: float


def plan(models: Iterable[str], scale: str, seeds: Iterable[int], task: str = "faces") -> list[PlannedModel]:
    """The named models and the old models they need, each before those that need it.

    task: "faces" or "persons", which matters at paper scale. Raises UsageError for an unknown model or scale. Data may
    be absent: an estimate can do with published counts, and for glyphs with the list of typefaces.
    """
    names = list(with_ancestors(tuple(models)))
    return [_planned(Workbench(scale, seed, "cpu", task=task), name) for seed in seeds for name in names]


def _planned(bench: Workbench, name: str) -> PlannedModel:
    spec, settings = find_model(name), bench.settings
    images = bench.data.n_images(spec.share) * settings.schedule.epochs * _pixels(bench)
    seconds = images / IMAGES_PER_S[settings.backbones[spec.backbone]] * METHODS[spec.method].cost
    cached = bench.data.is_here and store.is_trained(bench.recipe(name))
    return PlannedModel(name, bench.seed, cached, seconds)


def _pixels(bench: Workbench) -> float:
    """Pixels of an image relative to those at which the rates are stated."""
    height, width = getattr(bench.settings, "size", FACE)
    return height * width / (FACE[0] * FACE[1])


def basis(scale: str, task: str = "faces") -> str:
    """A sentence on what estimates at this scale rest on; "" where they were measured."""
    bench = Workbench(scale, device="cpu", task=task)
    networks = dict.fromkeys(bench.settings.backbones.values())
    if not any(name.startswith("resnet") for name in networks):
        return ""
    rates = " and ".join(f"{IMAGES_PER_S[name] / _pixels(bench):,.0f} images/s for {name}" for name in networks)
    n_images = f"{bench.data.n_images(1):,.0f} images ({bench.data.counted})"
    note = f"estimates are for one GPU: {rates} are guesses, not measured; {n_images}"
    return note if torch.cuda.is_available() else f"{note}; no GPU is seen here: without one it takes far longer"


def require_data(tables: Iterable[str], scale: str, task: str = "faces") -> None:
    """Find everything that training and measuring these tables will read.

    Raises UsageError that says what to provide, and for a table that these data cannot give.
    """
    data = Workbench(scale, device="cpu", task=task).data
    for table in tables:
        if missing := set(find_table(table).parts) - set(data.parts):
            raise UsageError(f"{table} is not to be had at {scale} scale: its data have no {missing.pop()} identities")
    data.require()
