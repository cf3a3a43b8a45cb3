"""What a scale's data are: one interface, and the one place that decides between glyphs and the paper's own data."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from bctlib.base import locations
from bctlib.data.paper.ijbc_protocols import IjbcProtocols
from bctlib.data.protocols import GlyphProtocols
from bctlib.data.variants import ReidProtocol
from bctlib.data.training_set import TrainingData
from companion.face_data import FaceData
from companion.glyph_data import GlyphData
from companion.person_data import PersonData
from bctlib.training.artefact import Artefact
from bctlib.training.paper_settings import PaperSettings
from bctlib.training.scales import ScaleSettings, scale_settings


class ScaleData(Protocol):
    """Training images, and what a model is measured on. Everything is read when first asked for.

    part: "test" or "validation". Members of the paper's data raise BctError naming what is missing or damaged.
    """

    settings: ScaleSettings | PaperSettings
    parts: tuple[str, ...]

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


def scale_data(scale: str, task: str = "faces") -> ScaleData:
    """The data of a scale; at paper scale those of the task. Raises UsageError for an unknown scale or task."""
    settings = scale_settings(scale, task)
    if isinstance(settings, ScaleSettings):
        return GlyphData(scale, settings)
    kind = {"faces": FaceData, "persons": PersonData}[task]
    return kind(settings, locations.paper_data_dir())
