"""One seed at one scale: its data, its models (trained when they are first requested) and their features.

`DATA` is the one place that chooses between glyphs and the paper's own data; both satisfy `ScaleData`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from bctlib.data.glyphs import GlyphSet
from bctlib.data.paper.ijbc import IjbcProtocols
from bctlib.data.protocols import GlyphProtocols, IdentitySplit
from bctlib.data.training_set import TrainingData
from bctlib.data.variants import ReidProtocol
from bctlib.models import find_model
from bctlib.training import store
from bctlib.training.artefact import Artefact
from bctlib.training.devices import choose_device
from bctlib.training.features import comparable
from bctlib.training.recipe import Recipe
from bctlib.training.scales import ScaleSettings, scale_settings
from companion.sources.glyph_data import GlyphData
from companion.sources.paper_data import FaceData, PersonData, Photographs


class ScaleData(Protocol):
    """Training images, and what a model is measured on. Everything is read when first asked for.

    parts: which of "test" and "validation" there are; a `part` is one of them. tasks: what models are measured by:
    "faces" (templates: 1:1 and 1:N), "persons" (re-identification). image_size: height and width in pixels. image_cost:
    seconds of training on an image, relative to the image for which `companion.measure.training_speed.GUESSES` has
    rates.
    Members of the paper's data raise BctError naming what is missing or damaged.
    """

    settings: ScaleSettings
    parts: tuple[str, ...]
    tasks: tuple[str, ...]
    image_size: tuple[int, int]
    image_cost: float

    @property
    def is_here(self) -> bool:
        """Whether all data sets are in place, without opening them."""

    def require(self) -> None:
        """Find all that training and measuring will read. Raises UsageError that says what to provide and where."""

    @property
    def counted(self) -> str:
        """In a few words, what `n_images` rests on."""

    @property
    def text(self) -> str:
        """Version of the data and how it is split, for recipes."""

    @property
    def n_identities(self) -> int:
        """Training identities; the published count where the data are not here."""

    def n_images(self, share: float) -> float:
        """About how many training images that share of the identities has; published counts as above."""

    @property
    def distortion(self) -> Mapping[str, Any]:
        """Every setting of the training distortion."""

    def training_set(self, share: float, seed: int) -> TrainingData:
        """The images of a share of the training identities, nested for one seed."""

    def generated(self, images: int) -> TrainingData:
        """So many generated images of the form and the classes of the training set, in memory: for timing."""

    @property
    def pictures(self) -> Any:
        """What `plot_protocol.plot_identities` draws."""

    def protocols(self, part: str = "test") -> GlyphProtocols | IjbcProtocols:
        """The 1:1 and the 1:N protocol over one pool of images."""

    @property
    def distinct(self) -> GlyphProtocols | None:
        """The test protocols without look-alikes, where there is such a thing."""

    def reid_protocol(self, part: str = "test") -> ReidProtocol:
        """Queries and gallery over the pool whose features `features` gives."""

    def features(self, model: Artefact, part: str, device: torch.device) -> np.ndarray:
        """float32 [images of the pool, dim]."""

    def embedding(self, model: Artefact, n_images: int, device: torch.device) -> tuple[Callable[[], object], int]:
        """A call that embeds the first n_images of the test pool, held in memory, and how many these are: for timing.

        Of images in files these are 256 at most.
        """


DATA = {"glyphs": GlyphData, "faces": FaceData, "persons": PersonData}
"""The class of each kind of source (`ScaleSettings.source`); made from a scale's name and settings."""


def scale_data(scale: str, task: str = "faces", seed: int = 0) -> ScaleData:
    """The data of a scale, split by the seed; at paper scale those of the task, whose split is published.

    Raises UsageError for an unknown scale or task.
    """
    settings = scale_settings(scale, task)
    settings = replace(settings, source=settings.source.drawn_by(seed))
    return DATA[settings.source.kind](scale, settings)


_COSINE_SETTINGS = {"cosine-margin": ("scale", "margin"), "norm-softmax": ("scale",), "softmax": ()}


@dataclass
class Workbench:
    """Data, models and features of one seed at one scale.

    The seed draws the split of the identities, the protocols, the nested training shares and, through each model's
    recipe, its initial weights, order and distortion; the paper's own data have one split. force: train again what the
    store holds. task: "faces" or "persons"; the paper's own data differ by it, glyphs serve both. data: where
    everything comes from (`companion.workbench`). Raises UsageError for an unknown scale, task or device.
    """

    scale: str
    seed: int = 0
    device: str = "auto"
    force: bool = False
    task: str = "faces"
    _models: dict[str, Artefact] = field(default_factory=dict, repr=False)
    _renewed: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self):
        self.data = scale_data(self.scale, self.task, self.seed)
        self.settings = self.data.settings
        self.on = choose_device(self.device)

    def for_task(self, task: str) -> "Workbench":
        """This workbench, or at paper scale that of another task, which has other models; at other scales the same."""
        if task in self.data.tasks:
            return self
        return Workbench(self.scale, self.seed, self.device, self.force, task)

    @property
    def glyphs(self) -> GlyphSet | Photographs:
        """The training identities' pictures: at paper scale photographs instead of glyphs."""
        return self.data.pictures

    @property
    def split(self) -> IdentitySplit:
        return self.data.split

    def protocols(self, part: str = "test") -> GlyphProtocols | IjbcProtocols:
        """The two protocols over the `test` or the `validation` identities (paper scale has no validation)."""
        return self.data.protocols(part)

    @property
    def distinct(self) -> GlyphProtocols | None:
        """The test protocols without the fifth of the identities with the closest doubles; None for photographs."""
        return self.data.distinct

    def reid_protocol(self, part: str = "test") -> ReidProtocol:
        """Queries and gallery over the pool whose features the store may hold already."""
        return self.data.reid_protocol(part)

    def recipe(self, name: str) -> Recipe:
        """What decides the numbers of the named model (`bctlib.models`) here."""
        spec, settings = find_model(name), self.settings
        head_settings = {"scale": settings.head_scale, "margin": settings.margin}
        return Recipe(
            data=self.data.text,
            share=spec.share,
            seed=self.seed,
            backbone=settings.backbones[spec.backbone],
            dim=spec.dim,
            head=spec.head,
            method=spec.method,
            schedule=settings.schedule,
            relu=spec.relu,
            head_settings={key: head_settings[key] for key in _COSINE_SETTINGS[spec.head]},
            options=dict(spec.options),
            distortion=dict(self.data.distortion),
            old=self.recipe(spec.old).key if spec.old else None,
        )

    def keep(self, names: Iterable[str]) -> None:
        """Take these models from the store as they are, though `force` trains others again."""
        self._renewed.update(self.recipe(name).key for name in names)

    def model(self, name: str) -> Artefact:
        """The trained model, from the store, from the checkout or trained now; its old model first, if it has one.

        Before a first training everything that it will be measured on is looked for as well.
        """
        if name not in self._models:
            spec, recipe = find_model(name), self.recipe(name)
            if self.force and recipe.key not in self._renewed:  # of names with one recipe, the first trains it
                store.forget(recipe)
                self._renewed.add(recipe.key)
            if not store.is_trained(recipe):
                self.data.require()
            old = self.model(spec.old) if spec.old else None
            label = f"{name} seed {self.seed}"
            self._models[name] = store.fetch(
                recipe, lambda: self.data.training_set(spec.share, self.seed), old, self.on, label, not self.force
            )
        return self._models[name]

    def features(self, name: str, part: str = "test") -> np.ndarray:
        """float32 [images of the pool, dim]: the model's embeddings of every image of the protocols."""
        return self.data.features(self.model(name), part, self.on)

    def pair_features(self, query: str, gallery: str, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Features of the query model, made comparable with the gallery model's, and those of the gallery model.

        A query model's transform, if it has one, leads into the space of its own old model and of no other.
        """
        gallery_features = self.features(gallery, part)
        query_features = self.features(query, part)
        transform = self.model(query).transform if find_model(query).old == gallery else None
        return comparable(query_features, gallery_features.shape[1], transform), gallery_features

    def about(self, query: str, gallery: str) -> dict[str, str | int | float]:
        """The columns of a result row that say which pair was measured, and how its query model was trained."""
        training = self.model(query).training
        return {
            "seed": self.seed, "method": find_model(query).method, "query_model": query, "gallery_model": gallery,
            "device": training.device, "versions": training.versions, "commit": training.commit,
            "seconds": training.seconds,
        }  # fmt: skip


def with_ancestors(names: tuple[str, ...]) -> Iterator[str]:
    """The named models and the old models they need, each once, in an order in which they can be trained."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        old = find_model(name).old
        if old:
            yield from visit(old)
        if name not in seen:
            seen.add(name)
            yield name

    for name in names:
        yield from visit(name)
