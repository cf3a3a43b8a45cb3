"""Market-1501 as data: trained on its training folder, measured on its queries and gallery (Table 5)."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch

from bctlib.data.photos.framing import Framing, WholeImage
from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.data.photos.index import ImageIndex
from bctlib.data.paper.data_market1501 import person_images, training_index
from bctlib.data.photos.path_list import PathList
from bctlib.data.variants import ReidProtocol
from companion.paper_data import PhotoData
from bctlib.training.file_features import file_features
from bctlib.training.artefact import Artefact


@dataclass(frozen=True)
class PersonProtocols:
    """Queries and gallery over one pool: the queries first, then the whole gallery folder."""

    pool: ImageFilePool
    reid: ReidProtocol

    @cached_property
    def counts(self) -> dict[str, int]:
        return self.reid.counts


@lru_cache(maxsize=1)
def _training(folder: Path) -> ImageIndex:
    return training_index(folder)


@lru_cache(maxsize=1)
def _protocols(folder: Path, size: tuple[int, int]) -> PersonProtocols:
    parts = [person_images(folder, part, size) for part in ("query", "gallery")]
    paths = [f"{pool.root.name}/{path}" for pool, _ in parts for path in pool.paths]
    identity, camera = (np.concatenate(each) for each in zip(*(labels for _, labels in parts), strict=True))
    n_queries = parts[0][0].size
    pool = ImageFilePool(parts[0][0].root.parent, PathList.of(paths), WholeImage(size))
    reid = ReidProtocol(np.arange(n_queries), np.arange(n_queries, len(paths)), identity, camera)
    return PersonProtocols(pool, reid)


class PersonData(PhotoData):
    """The `ScaleData` of persons at paper scale. Published: 12,936 training images of 751 identities."""

    needs = ("market1501",)
    published = (12_936, 751)

    def training(self) -> tuple[ImageIndex, Framing]:
        return _training(self.folder("market1501")), WholeImage(self.settings.size)

    def protocols(self, part: str = "test") -> PersonProtocols:
        self.check_part(part)
        return _protocols(self.folder("market1501"), self.settings.size)

    def reid_protocol(self, part: str = "test") -> ReidProtocol:
        return self.protocols(part).reid

    def features(self, model: Artefact, part: str, device: torch.device) -> np.ndarray:
        return file_features(model, self.protocols(part).pool, device)
