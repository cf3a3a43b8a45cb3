"""Market-1501's images: three folders whose file names say who is seen by which camera."""

from pathlib import Path

import numpy as np

from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.data.photos.index import ImageIndex, index_of
from bctlib.data.paper.market1501 import FOLDERS, Market1501Labels, labels_of_names, names_in_folder
from bctlib.data.photos.path_list import PathList
from bctlib.base.errors import BctError


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


def person_images(root: Path | str, part: str, size: tuple[int, int]) -> tuple[ImageFilePool, Market1501Labels]:
    """The images of "query" or "gallery" at `size` (height, width), sorted by name, and who each is, by which camera.

    Junk is in the gallery too, so that rows are those of the folder: measures leave it out. Raises BctError.
    """
    root = Path(root).resolve()
    names = names_in_folder(root, part)
    folder = root / FOLDERS[part]
    return ImageFilePool(folder, PathList.of(names), WholeImage(size)), labels_of_names(names, str(folder))
