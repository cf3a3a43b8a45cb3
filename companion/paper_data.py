"""What faces and persons share as data of the paper scale: training images in files, shares of their identities."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bctlib.data.photos.distortion import ColourDistortion
from bctlib.data.photos.framing import Framing
from bctlib.data.photos.sets import ImageFolderSet, image_folder_set
from bctlib.data.photos.index import ImageIndex
from bctlib.data.paper.layouts import LAYOUTS, find_data
from bctlib.data.photos.reading import ImageList
from bctlib.data.splits import IdentitySplit, training_share
from bctlib.data.templates import digest
from bctlib.base.errors import UsageError
from bctlib.training.paper_settings import PaperSettings


@dataclass(frozen=True)
class Photographs:
    """Pictures of the training identities. images: what to read; labels: int [N] into `classes`."""

    title: str
    images: ImageList
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class PhotoData:
    """Data sets below `root` in the layouts that `data check` knows; the kinds of it say which.

    needs: keys of LAYOUTS. published: (training images, training identities), for estimates without the data.
    All training identities are for training: tests are other people, and there is no validation part.
    """

    settings: PaperSettings
    root: Path

    needs = ()
    published = (0, 0)
    parts = ("test",)
    distinct = None

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

    @property
    def pictures(self) -> Photographs:
        index, framing = self.training()
        title = LAYOUTS[self.needs[0]].title
        return Photographs(title, ImageList(index.root, index.paths, framing), index.labels, index.classes)
