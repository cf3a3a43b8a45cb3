"""A user's images: a folder with one sub-folder per class for training, a folder or a list of files for embedding."""

import os
from dataclasses import dataclass
from pathlib import Path

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.base.text_lines import path_and_label
from bctlib.data.photos.class_names import class_names, composed, read_lines
from bctlib.data.photos.files import PathList, image_faults, is_image_name
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.index import ImageIndex, NoImages, index_folder
from bctlib.data.photos.scan import EMPTY, NO_IMAGE, LeftOut, is_folder, is_image
from bctlib.data.photos.sets import ImageFolderSet, image_folder_set


@dataclass(frozen=True)
class CustomImages:
    """n image files below `root` in the order of their features. labels: a class name each, or None if unknown.

    left_out: a description of the files that are ignored, empty if there are none.
    """

    root: Path
    paths: PathList
    labels: tuple[str, ...] | None
    left_out: str = ""

    def __len__(self) -> int:
        return len(self.paths)


def images_by_class(
    root: Path | str, size: tuple[int, int], workers: int | None = None
) -> tuple[ImageIndex, ImageFolderSet]:
    """The training set ROOT/CLASS/**/image, each whole image resized to `size` (height, width).

    Raises BctError for a folder that is missing, empty or holds a single class, naming a class that has no image, and
    naming an image that is damaged according to its first and last bytes.
    """
    index = index_folder(root)
    _require_every_class(root, index)
    if len(index.classes) < 2:
        raise BctError(f"{root} holds one class, {index.classes[0]!r}: expected at least 2 to tell apart")
    for _, path, wrong in image_faults(index.root, index.paths):
        raise BctError(f"{path}: {wrong}")
    return index, image_folder_set(index, framing=WholeImage(size), workers=workers)


def images_to_embed(source: Path | str) -> CustomImages:
    """The images of a folder, or those that a text file lists.

    source: ROOT/CLASS/**/image (labels are the classes; sorted by class, then path), a folder that holds images only
    directly (sorted by name, no labels), or a text file with a path on each line, in its order and relative to the
    folder of the text file; with `path label` on every line the last word is the label. A message says which files of a
    folder are ignored.
    Raises BctError naming the file or line, and naming a class that has no image.
    """
    source = Path(source)
    if source.is_dir():
        return _of_folder(source)
    lines = read_lines(source, "the path of an image")
    root = source.resolve().parent
    if all(_is_path(root, line) for line in lines):
        return _checked(source, lines, None)
    pairs = [path_and_label(line) for line in lines]
    for number, words in enumerate(pairs, 1):
        if len(words) != 2 or not _is_path(root, words[0]):
            raise BctError(
                f"{source}, line {number}: expected `path` or `path label`, as on all other lines, with the path of a "
                f"file that is there; found {lines[number - 1]!r}"
            )
    labels = class_names((label for _, label in pairs), str(source))
    return _checked(source, [path for path, _ in pairs], tuple(labels))


def _of_folder(root: Path) -> CustomImages:
    try:
        index = index_folder(root)
    except NoImages:
        if not (found := _directly_in(root)):
            raise
        return found
    _require_every_class(root, index)
    return CustomImages(index.root, index.paths, tuple(index.classes[i] for i in index.labels), index.left_out)


def _directly_in(root: Path) -> CustomImages | None:
    """The images directly in a folder whose sub-folders, if any, hold none; None if there are none."""
    left_out, names = LeftOut(), []
    with os.scandir(root) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                left_out.add_hidden(entry, entry.name)
            elif is_folder(entry):
                left_out.add(EMPTY, entry.name)
            elif is_image(entry):
                names.append(entry.name)
            else:
                left_out.add(NO_IMAGE, entry.name)
    if not names:
        return None
    if left_out.kinds:
        progress.say(f"{root.resolve()}: {left_out.text()}")
    return CustomImages(root.resolve(), PathList.of(names), None, left_out.text())


def _require_every_class(root: Path | str, index: ImageIndex) -> None:
    """Raises BctError naming a folder of a class that has no image."""
    with os.scandir(root) as entries:
        folders = sorted(entry.name for entry in entries if is_folder(entry) and not entry.name.startswith("."))
    known = set(index.classes)
    if empty := [name for name in folders if composed(name) not in known]:
        also = f", nor do {len(empty) - 1} other classes" if len(empty) > 1 else ""
        raise BctError(
            f"{Path(root) / empty[0]} holds no image{also}: expected at least one in the folder of each class; remove "
            "folders that are no class"
        )


def _is_path(root: Path, line: str) -> bool:
    """Whether a line is the path of an image: by the suffix of its name, or because the file exists."""
    return is_image_name(Path(line).name) or _is_file(root / line)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def _checked(source: Path, paths: list[str], labels: tuple[str, ...] | None) -> CustomImages:
    root = source.resolve().parent
    for number, path in enumerate(paths, 1):
        if not _is_file(root / path):
            raise BctError(f"{source}, line {number}: there is no file {root / path}")
    return CustomImages(root, PathList.of(paths), labels)
