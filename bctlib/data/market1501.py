"""Market-1501's images: three folders whose file names say who is seen by which camera.

Junk (identity -1) is left out of the gallery here, distractors (0) stay in it: `market1501_names` tells them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bctlib.data.framing import WholeImage
from bctlib.data.image_file_pool import ImageFilePool
from bctlib.data.image_index import ImageIndex, index_of
from bctlib.data.market1501_names import FOLDERS, JUNK, labels_of_names, names_in_folder
from bctlib.data.path_list import PathList
from bctlib.errors import BctError

PERSON = (256, 128)
"""Height and width at which whole persons are usually seen."""


@dataclass(frozen=True)
class PersonImages:
    """Query or gallery: the images, and identity and camera of each, int64 [n]."""

    pool: ImageFilePool
    identity: np.ndarray
    camera: np.ndarray


def training_index(root: Path | str) -> ImageIndex:
    """`bounding_box_train` by identity, named by the four digits of the file names, in their order.

    Sorted, because the map from new to old classes needs an order that is the same in every run. Raises BctError that
    names a file without identity and camera, and an image of junk or a distractor, which has no place there.
    """
    root = Path(root).resolve()
    names = names_in_folder(root, "train")
    folder = root / FOLDERS["train"]
    identity, _ = labels_of_names(names, str(folder))
    if identity.min() < 1:
        raise BctError(
            f"{folder / names[int(identity.argmin())]}: is junk or a distractor, expected an identity from 1"
        )
    sizes = np.array([(folder / name).stat().st_size for name in names], np.int64)
    return index_of(folder, names, (f"{number:04d}" for number in identity), sizes)


def person_images(root: Path | str, part: str, size: tuple[int, int] = PERSON) -> PersonImages:
    """The images of "query" or "gallery" at `size` (height, width), sorted by name, without junk. Raises BctError."""
    root = Path(root).resolve()
    names = names_in_folder(root, part)
    identity, camera = labels_of_names(names, str(root / FOLDERS[part]))
    kept = np.flatnonzero(identity != JUNK)
    pool = ImageFilePool(root / FOLDERS[part], PathList.of(names[i] for i in kept), WholeImage(size))
    return PersonImages(pool, identity[kept], camera[kept])
