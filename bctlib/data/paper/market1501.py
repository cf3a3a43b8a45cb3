"""Identities and cameras from file names like Market-1501's: `IDENTITY_cCAMERA`, then anything that is no digit.

| data set       | name                       | identity | camera |
|----------------|----------------------------|----------|--------|
| Market-1501    | `0002_c1s1_000451_03.jpg`  | 2        | 1      |
| DukeMTMC-reID  | `0001_c2_f0046182.jpg`     | 1        | 2      |
| VeRi-776       | `0001_c015_00016460_0.jpg` | 1        | 15     |

The identity has one to nine digits, or is -1 (junk); the camera has one to three, and `c1`, `c01` and `c001` are one
camera. Names of any other form are refused: labels of such sets can be given as an array.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.text_lines import text_lines

FOLDERS = {"train": "bounding_box_train", "gallery": "bounding_box_test", "query": "query"}
PUBLISHED = {"train": 12_936, "gallery": 19_732, "query": 3_368}
_NAME = re.compile(r"(-1|[0-9]{1,9})_c([0-9]{1,3})(?![0-9])")


class Market1501Labels(NamedTuple):
    """identity, camera: int64 [n], in the order of the names."""

    identity: np.ndarray
    camera: np.ndarray


def labels_of_names(names: Iterable[str], source: str = "names") -> Market1501Labels:
    """Labels from file names or paths; only the last part of a path counts, whatever its folders are called.

    source: where the names come from, for messages. Raises BctError naming source and line for a name of another form
    than those above.
    """
    identities, cameras = [], []
    for line, name in enumerate(names, 1):
        basename = name.strip().replace("\\", "/").rsplit("/", 1)[-1]
        found = _NAME.match(basename)
        if not found:
            raise BctError(
                f"{source}, line {line}: {name.strip()!r} is no name like 0002_c1s1_000451_03.jpg or "
                "0001_c015_00016460_0.jpg (an identity of up to 9 digits, a camera of up to 3)"
            )
        identities.append(int(found[1]))
        cameras.append(int(found[2]))
    if not identities:
        raise BctError(f"{source} is empty: expected a file name on each line")
    return Market1501Labels(np.array(identities, np.int64), np.array(cameras, np.int64))


def read_names(path: Path) -> list[str]:
    """The names in a text file, one on each line, in the order of the rows of a feature file.

    Raises BctError as `text_lines` does.
    """
    return list(text_lines(path, "a file name on each line"))


def names_in_folder(root: Path, part: str) -> list[str]:
    """The names of the JPEGs of one part ("train", "gallery", "query") of `Market-1501-v15.09.15`, sorted.

    Hidden files are no images, such as the `._0002_c1s1_000451_03.jpg` that macOS puts beside each file of a copy.
    Raises BctError when the folder is missing or holds no JPEG.
    """
    folder = root / FOLDERS[part]
    names = sorted(path.name for path in folder.glob("[!.]*.jpg")) if folder.is_dir() else []
    if not names:
        raise BctError(f"{folder} holds no .jpg: expected the {part} images of Market-1501-v15.09.15")
    return names
