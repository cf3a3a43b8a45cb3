"""The paper's data sets below a folder: the known layouts of their files, how to obtain them, and their images."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bctlib.base.errors import BctError
from bctlib.data.paper.imdb_face import FaceTable, face_boxes, find_pictures, read_face_table
from bctlib.data.paper.market1501 import FOLDERS, Market1501Labels, labels_of_names, names_in_folder
from bctlib.data.photos.files import PathList
from bctlib.data.photos.framing import Framing, WholeImage
from bctlib.data.photos.index import ImageIndex, index_folder, index_list, index_of
from bctlib.data.photos.sets import ImageFilePool

CSV_NAME = "IMDb-Face.csv"
LIST_NAME = "list.txt"


@dataclass(frozen=True)
class Layout:
    """One data set. folders: usual names of its folder; is_here: whether a folder looks like it.

    arrangement: the files expected; source: how to obtain them, for messages.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    is_here: Callable[[Path], bool]
    arrangement: tuple[str, ...]
    source: str


def _has_faces(folder: Path) -> bool:
    if (folder / CSV_NAME).is_file():
        return True
    return any(re.fullmatch(r"nm\d{7,}", entry.name) and entry.is_dir() for entry in folder.iterdir())


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "imdb-face", "IMDB-Face (training)", ("imdb-face", "imdb_face", "IMDb-Face", "IMDB-Face", "imdbface"),
            _has_faces,
            (
                "imdb-face/aligned/IDENTITY/*.jpg   aligned crops of 112 x 112, taken as they are; or",
                f"imdb-face/{CSV_NAME} with imdb-face/images/INDEX/IMAGE.jpg   pictures, cut out by rect; or",
                f"imdb-face/{LIST_NAME}   lines of `path label`; or",
                "imdb-face/IDENTITY/*.jpg   any images, resized to 112 x 112",
            ),
            "Only a CSV of links was published (github.com/fwang91/IMDb-Face), and most of its links are dead: the "
            "pictures can no longer be downloaded as a whole. Use a copy that your group already holds.",
        ),
        Layout(
            "ijbc", "IJB-C (evaluation)", ("ijbc", "IJBC", "IJB-C", "ijb-c"),
            lambda folder: (folder / "meta").is_dir() or (folder / "loose_crop").is_dir(),
            (
                "ijbc/meta/ijbc_*.txt and ijbc_*.csv   six files",
                "ijbc/loose_crop/1.jpg ... 469375.jpg, or ijbc/aligned/ with crops of 112 x 112 under the same names",
            ),
            "IJB-C was given out by NIST on request and is no longer distributed. Use a copy that your group already "
            "holds; with features alone, `bctlib evaluate ijbc` needs only meta/.",
        ),
        Layout(
            "market1501", "Market-1501 (re-identification)",
            ("Market-1501-v15.09.15", "market1501", "Market-1501", "market-1501", "Market1501"),
            lambda folder: any((folder / name).is_dir() for name in FOLDERS.values()),
            ("Market-1501-v15.09.15/{bounding_box_train,bounding_box_test,query}/*.jpg",),
            "The host that the authors named is dead. Use a copy that your group already holds, and compare its counts "
            "with those printed here.",
        ),
    )
}  # fmt: skip


def find_data(root: Path, name: str) -> Path | None:
    """The folder of a data set (a key of LAYOUTS): `root` itself or a folder of a usual name in it, or None."""
    layout = LAYOUTS[name]
    try:
        if layout.is_here(root):
            return root
        return next((root / folder for folder in layout.folders if (root / folder).is_dir()), None)
    except OSError:
        return None


def training_faces(folder: Path, table: FaceTable | None = None) -> tuple[ImageIndex, Framing]:
    """The training images in a folder arranged as LAYOUTS says, and what of each is seen.

    The first form that is there counts: aligned/, the CSV with images/, images/ alone, the list, identity folders.
    table: the CSV, where the caller has read it.
    Raises BctError as the readers of these forms do, and for a CSV alone.
    """
    if (folder / "aligned").is_dir():
        return index_folder(folder / "aligned"), WholeImage()
    if (folder / CSV_NAME).is_file():
        if not (folder / "images").is_dir():
            raise BctError(f"{folder / CSV_NAME} is there, but no folder {folder / 'images'} with its pictures")
        table = table or read_face_table(folder / CSV_NAME)
        index, faces = find_pictures(table, folder / "images")
        return index, face_boxes(table, faces)
    if (folder / "images").is_dir():
        return index_folder(folder / "images"), WholeImage()
    if (folder / LIST_NAME).is_file():
        return index_list(folder / LIST_NAME), WholeImage()
    return index_folder(folder), WholeImage()


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
