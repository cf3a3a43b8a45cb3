"""One seed at one scale: its data, its models (trained when first asked for) and their features."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from bctlib import locations
from bctlib.data.distortion import TrainingDistortion
from bctlib.data.glyph_set import GlyphSet, load_glyphs
from bctlib.data.lookalikes import find_lookalikes
from bctlib.data.protocols import GlyphProtocols, glyph_protocols
from bctlib.data.splits import IdentitySplit, split_identities, training_share
from bctlib.data.training_set import glyph_training_set
from bctlib.features.extract import comparable, pool_features
from bctlib.training import store
from bctlib.training.artefact import Artefact
from bctlib.training.devices import choose_device
from bctlib.training.model_list import ModelSpec, find_model
from bctlib.training.recipe import Recipe
from bctlib.training.scale_settings import ScaleSettings, scale_settings

_COSINE_SETTINGS = {"cosine-margin": ("scale", "margin"), "norm-softmax": ("scale",), "softmax": ()}


@lru_cache(maxsize=2)
def _glyphs(folder: Path) -> GlyphSet:
    return load_glyphs(folder)


@lru_cache(maxsize=4)
def _protocols(folder: Path, scale: str, part: str) -> GlyphProtocols:
    settings = scale_settings(scale)
    glyphs = _glyphs(folder)
    split = _split(glyphs, settings)
    return glyph_protocols(glyphs, getattr(split, part), seed=settings.split_seed)


def _split(glyphs: GlyphSet, settings: ScaleSettings) -> IdentitySplit:
    return split_identities(
        len(glyphs.characters), settings.n_train, settings.n_validation, settings.n_test, settings.split_seed
    )


@dataclass
class Workbench:
    """Data, models and features of one seed at one scale.

    The split and the protocols are the same for every seed; the seed draws the nested training shares and, through
    each model's recipe, its initial weights, order and distortion. force: train again what the store holds.
    Raises UsageError for an unknown scale or device.
    """

    scale: str
    seed: int = 0
    device: str = "auto"
    force: bool = False
    _models: dict[str, Artefact] = field(default_factory=dict, repr=False)
    _renewed: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self):
        self.settings = scale_settings(self.scale)
        self.on = choose_device(self.device)

    @property
    def folder(self) -> Path:
        return locations.data_dir() / self.settings.folder

    @property
    def glyphs(self) -> GlyphSet:
        return _glyphs(self.folder)

    @cached_property
    def split(self) -> IdentitySplit:
        return _split(self.glyphs, self.settings)

    def protocols(self, part: str = "test") -> GlyphProtocols:
        """The two protocols over the `test` or the `validation` identities."""
        return _protocols(self.folder, self.scale, part)

    @cached_property
    def distinct(self) -> GlyphProtocols:
        """The test protocols without the fifth of the identities that have the closest doubles."""
        protocols = self.protocols()
        return protocols.without(find_lookalikes(self.glyphs, protocols.identities))

    def recipe(self, name: str) -> Recipe:
        """What decides the numbers of the named model (`bctlib.training.model_list`) here."""
        spec, settings = find_model(name), self.settings
        head_settings = {"scale": settings.head_scale, "margin": settings.margin}
        split = f"{settings.n_train}/{settings.n_validation}/{settings.n_test} seed {settings.split_seed}"
        return Recipe(
            data=f"glyphs {self.glyphs.version}, identities {split}",
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
            distortion=asdict(TrainingDistortion(**settings.distortion)),
            old=self.recipe(spec.old).key if spec.old else None,
        )

    def model(self, name: str) -> Artefact:
        """The trained model, from the store or trained now; its old model first, if it has one."""
        if name not in self._models:
            spec, recipe = find_model(name), self.recipe(name)
            if self.force and name not in self._renewed:
                store.forget(recipe)
                self._renewed.add(name)
            old = self.model(spec.old) if spec.old else None
            label = f"{name} seed {self.seed}"
            self._models[name] = store.fetch(recipe, lambda: self._training_set(spec), old, self.on, label)
        return self._models[name]

    def _training_set(self, spec: ModelSpec):
        return glyph_training_set(self.glyphs, training_share(self.split, spec.share, self.seed))

    def features(self, name: str, part: str = "test") -> np.ndarray:
        """float32 [images of the pool, dim]: the model's embeddings of every image of the protocols."""
        return pool_features(self.model(name), self.protocols(part).pool, self.on)

    def pair_features(self, query: str, gallery: str, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Features of the query model, made comparable with the gallery model's, and those of the gallery model.

        A query model's transform, if it has one, leads into the space of its own old model and of no other.
        """
        gallery_features = self.features(gallery, part)
        query_features = self.features(query, part)
        transform = self.model(query).transform if find_model(query).old == gallery else None
        return comparable(query_features, gallery_features.shape[1], transform), gallery_features


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
