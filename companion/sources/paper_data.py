"""What faces and persons share as data of the paper scale: training images in files, shares of their identities.

The paper's faces as data: trained on IMDB-Face, measured on IJB-C (Sec. 3.1, 3.2).

Market-1501 as data: trained on its training folder, measured on its queries and gallery (Table 5).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bctlib.base import locations
from bctlib.base.errors import UsageError
from bctlib.data.paper.ijbc import IjbcProtocols, ijbc_protocols, read_ijbc_meta
from bctlib.data.paper.layouts import LAYOUTS, find_data, person_images, training_faces, training_index
from bctlib.data.photos.distortion import ColourDistortion, normalise_colour
from bctlib.data.photos.files import PathList
from bctlib.data.photos.framing import FACE, Framing, WholeImage
from bctlib.data.photos.index import ImageIndex
from bctlib.data.photos.reading import ImageList
from bctlib.data.photos.sets import ImageFilePool, ImageFolderSet, ijbc_pool, image_folder_set
from bctlib.data.protocols import IdentitySplit, training_share
from bctlib.data.templates import digest
from bctlib.data.variants import ReidProtocol
from bctlib.training.artefact import Artefact
from bctlib.training.features import file_features
from bctlib.training.scales import ScaleSettings
from companion.sources.generated import PhotoSet, generated_photos


@dataclass(frozen=True)
class Photographs:
    """Pictures of the training identities. images: what to read; labels: int [N] into `classes`."""

    title: str
    images: ImageList
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class PhotoData:
    """Data sets below `root` in the layouts that `data check` knows; subclasses say which.

    settings: with a `PhotoSource`. needs: keys of LAYOUTS. published: (training images, training identities), for
    estimates without the data.
    All training identities are for training: tests are other people, and there is no validation part.
    """

    scale: str
    settings: ScaleSettings

    needs = ()
    published = (0, 0)
    parts = ("test",)
    distinct = None

    @property
    def root(self) -> Path:
        return locations.paper_data_dir()

    @property
    def tasks(self) -> tuple[str, ...]:
        return (self.settings.source.kind,)

    @property
    def image_size(self) -> tuple[int, int]:
        return self.settings.source.size

    @property
    def image_cost(self) -> float:
        """By the number of pixels; rates are stated for images of faces."""
        height, width = self.image_size
        return height * width / (FACE[0] * FACE[1])

    @property
    def is_here(self) -> bool:
        return all(find_data(self.root, name) for name in self.needs)

    @property
    def counted(self) -> str:
        return "the data found" if self.is_here else "published counts, as the data are not here"

    def folder(self, name: str) -> Path:
        """Where one of the data sets is. Raises UsageError that says which are missing, and what to do."""
        missing = [LAYOUTS[need].title for need in self.needs if not find_data(self.root, need)]
        if missing:
            raise UsageError(
                f"scale paper needs {' and '.join(missing)}, which {self.root} does not hold: put the folders there, "
                "or set BCT_PAPER_DATA to the folder that holds them; what each must look like and how to come by it "
                f"says ./reproduce.sh data check --root {self.root}"
            )
        return find_data(self.root, name)

    def training(self) -> tuple[ImageIndex, Framing]:
        """Every training image by identity, and what of each is seen."""
        raise NotImplementedError

    def require(self) -> None:
        """Open the training images, and find every image that models are measured on."""
        self.training()
        _ = self.protocols().pool.key

    def protocols(self, part: str = "test"):
        raise NotImplementedError

    def check_part(self, part: str) -> None:
        """Raises UsageError for a part that these data do not have."""
        if part not in self.parts:
            raise UsageError(f"scale paper has no {part} identities: the paper's data are for training and test alone")

    @property
    def text(self) -> str:
        index, framing = self.training()
        seen = f"{type(framing).__name__} {digest(*framing.digest_arrays)}"
        return f"{self.needs[0]} {index.version}, {len(index.classes)} identities, {seen}"

    @property
    def n_identities(self) -> int:
        return len(self.training()[0].classes) if self.is_here else self.published[1]

    def n_images(self, share: float) -> float:
        return share * (len(self.training()[0]) if self.is_here else self.published[0])

    @property
    def split(self) -> IdentitySplit:
        none = np.empty(0, np.int64)
        return IdentitySplit(np.arange(self.n_identities), none, none)

    @property
    def distortion(self) -> Mapping[str, Any]:
        return asdict(ColourDistortion(**self.settings.distortion))

    def training_set(self, share: float, seed: int) -> ImageFolderSet:
        index, framing = self.training()
        return image_folder_set(index, training_share(self.split, share, seed), framing)

    def generated(self, images: int) -> PhotoSet:
        return generated_photos(images, self.n_identities, self.image_size)

    def features(self, model: Artefact, part: str, device: torch.device) -> np.ndarray:
        return file_features(model, self.protocols(part).pool, device)

    def embedding(self, model: Artefact, n_images: int, device: torch.device) -> tuple[Callable[[], object], int]:
        batches = self.protocols().pool.batches(min(n_images, 256), workers=0, device=device)
        batch = normalise_colour(next(iter(batches)))
        return lambda: model.embed(batch).cpu(), len(batch)

    @property
    def pictures(self) -> Photographs:
        index, framing = self.training()
        title = LAYOUTS[self.needs[0]].title
        return Photographs(title, ImageList(index.root, index.paths, framing), index.labels, index.classes)


@lru_cache(maxsize=1)
def _face_training(folder: Path) -> tuple[ImageIndex, Framing]:
    return training_faces(folder)


@lru_cache(maxsize=1)
def _face_protocols(folder: Path) -> IjbcProtocols:
    meta = read_ijbc_meta(folder / "meta")
    return ijbc_protocols(meta, ijbc_pool(folder, meta.image_name, meta.landmarks))


class FaceData(PhotoData):
    """The `ScaleData` of faces at paper scale. Published: "about 1.7M images of 59K celebrities" (Sec. 3.2)."""

    needs = ("imdb-face", "ijbc")
    published = (1_700_000, 59_000)

    def training(self) -> tuple[ImageIndex, Framing]:
        return _face_training(self.folder("imdb-face"))

    def protocols(self, part: str = "test") -> IjbcProtocols:
        self.check_part(part)
        return _face_protocols(self.folder("ijbc"))

    def reid_protocol(self, part: str = "test") -> ReidProtocol:
        raise UsageError("scale paper measures re-identification on persons: its workbench needs task='persons'")


@dataclass(frozen=True)
class PersonProtocols:
    """Queries and gallery over one pool: the queries first, then the whole gallery folder."""

    pool: ImageFilePool
    reid: ReidProtocol

    @cached_property
    def counts(self) -> dict[str, int]:
        return self.reid.counts


@lru_cache(maxsize=1)
def _person_training(folder: Path) -> ImageIndex:
    return training_index(folder)


@lru_cache(maxsize=1)
def _person_protocols(folder: Path, size: tuple[int, int]) -> PersonProtocols:
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
        return _person_training(self.folder("market1501")), WholeImage(self.settings.source.size)

    def protocols(self, part: str = "test") -> PersonProtocols:
        self.check_part(part)
        return _person_protocols(self.folder("market1501"), self.settings.source.size)

    def reid_protocol(self, part: str = "test") -> ReidProtocol:
        return self.protocols(part).reid
