"""The paper's faces as data: trained on IMDB-Face, measured on IJB-C (Sec. 3.1, 3.2)."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from bctlib.data.photos.framing import Framing
from bctlib.data.paper.ijbc import read_ijbc_meta
from bctlib.data.paper.ijbc_protocols import IjbcProtocols, ijbc_protocols
from bctlib.data.photos.image_file_pool import ijbc_pool
from bctlib.data.photos.index import ImageIndex
from bctlib.data.paper.layouts import training_faces
from bctlib.data.variants import ReidProtocol
from bctlib.base.errors import UsageError
from companion.paper_data import PhotoData
from bctlib.training.file_features import file_features
from bctlib.training.artefact import Artefact


@lru_cache(maxsize=1)
def _training(folder: Path) -> tuple[ImageIndex, Framing]:
    return training_faces(folder)


@lru_cache(maxsize=1)
def _protocols(folder: Path) -> IjbcProtocols:
    meta = read_ijbc_meta(folder / "meta")
    return ijbc_protocols(meta, ijbc_pool(folder, meta.image_name, meta.landmarks))


class FaceData(PhotoData):
    """The `ScaleData` of faces at paper scale. Published: "about 1.7M images of 59K celebrities" (Sec. 3.2)."""

    needs = ("imdb-face", "ijbc")
    published = (1_700_000, 59_000)

    def training(self) -> tuple[ImageIndex, Framing]:
        return _training(self.folder("imdb-face"))

    def protocols(self, part: str = "test") -> IjbcProtocols:
        self.check_part(part)
        return _protocols(self.folder("ijbc"))

    def reid_protocol(self, part: str = "test") -> ReidProtocol:
        raise UsageError("scale paper measures re-identification on persons: its workbench needs task='persons'")

    def features(self, model: Artefact, part: str, device: torch.device) -> np.ndarray:
        return file_features(model, self.protocols(part).pool, device)
