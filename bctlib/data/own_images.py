"""Anybody's own images: a folder by class to train on, a folder or a list of files to embed."""

import os
from dataclasses import dataclass
from pathlib import Path

from bctlib.data.framing import WholeImage
from bctlib.data.image_faults import image_faults
from bctlib.data.image_files import SUFFIXES, is_image_name
from bctlib.data.image_folder_set import ImageFolderSet, image_folder_set
from bctlib.data.image_index import ImageIndex, index_folder
from bctlib.data.name_lists import class_names, composed, read_lines
from bctlib.data.path_list import PathList
from bctlib.data.text_lines import path_and_label
from bctlib.errors import BctError


@dataclass(frozen=True)
class OwnImages:
    """n image files below `root` in the order of their features. labels: a class name each, or None if unknown."""

    root: Path
    paths: PathList
    labels: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.paths)


def images_by_class(
    root: Path | str, size: tuple[int, int], workers: int | None = None
) -> tuple[ImageIndex, ImageFolderSet]:
    """The training set ROOT/CLASS/**/image, each image seen whole at `size` (height, width).

    Raises BctError for a folder that is missing, empty or holds a single class, naming a class that has no image, and
    naming an image that is damaged as far as its first and last bytes tell.
    """
    index = index_folder(root)
    folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if empty := [name for name in folders if composed(name) not in set(index.classes)]:
        also = f", nor do {len(empty) - 1} other classes" if len(empty) > 1 else ""
        raise BctError(
            f"{Path(root) / empty[0]} holds no image (*{', *'.join(SUFFIXES)}){also}: expected at least one in the "
            "folder of each class; remove folders that are no class"
        )
    if len(index.classes) < 2:
        raise BctError(f"{root} holds one class, {index.classes[0]!r}: expected at least 2 to tell apart")
    for _, path, wrong in image_faults(index.root, index.paths):
        raise BctError(f"{path}: {wrong}")
    return index, image_folder_set(index, framing=WholeImage(size), workers=workers)


def images_to_embed(source: Path | str) -> OwnImages:
    """The images of a folder, or those that a text file lists.

    source: ROOT/CLASS/**/image (labels are the classes; sorted by class, then path), a folder that holds images only
    directly (sorted by name, no labels), or a text file with a path on each line, in its order and relative to its own
    folder; `path label` on every line gives labels, the last word of each. Raises BctError naming the file or line.
    """
    source = Path(source)
    if source.is_dir():
        return _of_folder(source)
    lines = read_lines(source, "the path of an image")
    if all(is_image_name(Path(line).name) for line in lines):
        return _checked(source, lines, None)
    pairs = [path_and_label(line) for line in lines]
    for number, words in enumerate(pairs, 1):
        if len(words) != 2 or not is_image_name(Path(words[0]).name):
            raise BctError(f"{source}, line {number}: expected `path` or `path label`, found {lines[number - 1]!r}")
    labels = class_names((label for _, label in pairs), str(source))
    return _checked(source, [path for path, _ in pairs], tuple(labels))


def _of_folder(root: Path) -> OwnImages:
    loose = sorted(entry.name for entry in os.scandir(root) if entry.is_file() and is_image_name(entry.name))
    if loose and not any(entry.is_dir() and not entry.name.startswith(".") for entry in os.scandir(root)):
        return OwnImages(root.resolve(), PathList.of(loose), None)
    index = index_folder(root)
    return OwnImages(index.root, index.paths, tuple(index.classes[i] for i in index.labels))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _checked(source: Path, paths: list[str], labels: tuple[str, ...] | None) -> OwnImages:
    root = source.resolve().parent
    for number, path in enumerate(paths, 1):
        if not _is_file(root / path):
            raise BctError(f"{source}, line {number}: there is no file {root / path}")
    return OwnImages(root, PathList.of(paths), labels)
