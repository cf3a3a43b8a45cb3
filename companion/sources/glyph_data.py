"""Glyph identities as the data of a scale: the split, training shares, protocols and features."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bctlib.base import locations
from bctlib.base.errors import UsageError
from bctlib.data.distortion import TrainingDistortion
from bctlib.data.glyphs import MANIFEST, GlyphSet, load_glyphs
from bctlib.data.protocols import GlyphProtocols, IdentitySplit, glyph_protocols, split_identities, training_share
from bctlib.data.training_set import TrainingSet, glyph_training_set
from bctlib.data.variants import ReidProtocol, find_lookalikes, reid_protocol
from bctlib.training.artefact import Artefact
from bctlib.training.features import embed_images, pool_features
from bctlib.training.scales import GlyphSource, ScaleSettings
from companion.sources.generated import SIDE, generated_glyphs

TYPICAL_TYPEFACES = 45
"""Of the full set's typefaces so many draw an identity, on average: for estimates without the set."""


@lru_cache(maxsize=2)
def _glyphs(folder: Path) -> GlyphSet:
    return load_glyphs(folder)


@lru_cache(maxsize=4)
def _protocols(folder: Path, source: GlyphSource, part: str) -> GlyphProtocols:
    glyphs = _glyphs(folder)
    return glyph_protocols(glyphs, getattr(_split(glyphs, source), part), seed=source.seed)


def _split(glyphs: GlyphSet, source: GlyphSource) -> IdentitySplit:
    return split_identities(len(glyphs.characters), source.n_train, source.n_validation, source.n_test, source.seed)


@dataclass(frozen=True)
class GlyphData:
    """The `ScaleData` of a glyph scale; every task is done on the same identities. settings: with a `GlyphSource`."""

    scale: str
    settings: ScaleSettings

    parts = ("test", "validation")
    tasks = ("faces", "persons")
    image_size = (SIDE, SIDE)
    image_cost = 1.0

    @property
    def source(self) -> GlyphSource:
        return self.settings.source

    @property
    def is_here(self) -> bool:
        """The desk set comes with the project; the full one is built by whoever wants it."""
        return (self.folder / MANIFEST).exists()

    @property
    def counted(self) -> str:
        """What `n_images` rests on."""
        return "the data found" if self.is_here else "the usual number of typefaces, as the set is not built here"

    def require(self) -> None:
        """Reading glyphs is checking them. Raises UsageError with the command that builds a set that is not here."""
        _ = self.glyphs

    @property
    def folder(self) -> Path:
        return locations.data_dir() / self.source.folder

    @property
    def glyphs(self) -> GlyphSet:
        if not self.is_here:
            kind = "full" if self.source.folder.endswith("-full") else "desk"
            raise UsageError(
                f"scale {self.scale} needs the {kind} glyph set, which {self.folder} does not hold: build it with "
                f"python -m dev.glyphs.build --set {kind} --fonts DIR --download (on Debian or Ubuntu)"
            )
        return _glyphs(self.folder)

    @property
    def pictures(self) -> GlyphSet:
        return self.glyphs

    @cached_property
    def split(self) -> IdentitySplit:
        return _split(self.glyphs, self.source)

    @property
    def text(self) -> str:
        source = self.source
        split = f"{source.n_train}/{source.n_validation}/{source.n_test} seed {source.seed}"
        typefaces = f", typefaces of at least {source.least_drawn:.0%}" if source.least_drawn else ""
        return f"glyphs {self.glyphs.version}, identities {split}{typefaces}"

    @property
    def n_identities(self) -> int:
        return self.source.n_train

    def n_images(self, share: float) -> float:
        if not self.is_here:
            return self.source.n_train * share * TYPICAL_TYPEFACES
        drawn_enough = self.glyphs.present.mean(axis=0) >= self.source.least_drawn
        return share * self.glyphs.present[self.split.train][:, drawn_enough].sum()

    @property
    def distortion(self) -> Mapping[str, Any]:
        return asdict(TrainingDistortion(**self.settings.distortion))

    def training_set(self, share: float, seed: int) -> TrainingSet:
        return glyph_training_set(self.glyphs, training_share(self.split, share, seed), self.source.least_drawn)

    def generated(self, images: int) -> TrainingSet:
        return generated_glyphs(images, self.n_identities)

    def protocols(self, part: str = "test") -> GlyphProtocols:
        return _protocols(self.folder, self.source, part)

    @cached_property
    def distinct(self) -> GlyphProtocols:
        """The test protocols without the fifth of the identities that have the closest doubles."""
        protocols = self.protocols()
        return protocols.without(find_lookalikes(self.glyphs, protocols.identities))

    def reid_protocol(self, part: str = "test") -> ReidProtocol:
        """A typeface is a camera."""
        return reid_protocol(self.protocols(part).pool, self.source.seed)

    def features(self, model: Artefact, part: str, device: torch.device) -> np.ndarray:
        return pool_features(model, self.protocols(part).pool, device)

    def embedding(self, model: Artefact, n_images: int, device: torch.device) -> tuple[Callable[[], object], int]:
        images = self.protocols().pool.images[:n_images]
        return lambda: embed_images(model, images, device), len(images)
