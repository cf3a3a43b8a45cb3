"""An index of the images of a data set by identity: made once, kept, and compared with the disk at each use.

Two forms are supported: a folder with a sub-folder for each identity, and a text list with `path label` on each line.
The index is one sealed file in `store/indexes/`.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.base.text_lines import path_and_label, text_lines
from bctlib.data.photos.class_names import class_names
from bctlib.data.photos.contents import file_contents
from bctlib.data.photos.files import PathList, in_threads
from bctlib.data.photos.parsed_cache import entry_path, load_arrays, save_arrays
from bctlib.data.photos.scan import (
    BESIDE,
    DEAD_LINK,
    EMPTY,
    LeftOut,
    change_time,
    is_dead_link,
    is_folder,
    is_image,
    scan_identity,
    size_of,
)

FORMAT = 2


class NoImages(BctError):
    """A folder without an image in a folder of its identity."""


@dataclass(frozen=True)
class ImageIndex:
    """n images of C identities below `root`.

    paths: relative to root, in the order of their labels, then of their names. labels: int32 [n], positions in
    `classes`, whose names are sorted: they, not positions, tie the classes of one model to those of another.
    sizes: int64 [n], bytes of each file, 0 where it is missing. digests: uint8 [n,16], of what each holds
    (`file_contents`). left_out: what below `root` is not in it, in words, empty for nothing.
    """

    root: Path
    paths: PathList
    labels: np.ndarray
    sizes: np.ndarray
    classes: tuple[str, ...]
    digests: np.ndarray
    left_out: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def version(self) -> str:
        """Short sha256 of paths, identities and contents, wherever `root` is: names the data in a recipe."""
        total = hashlib.sha256("\n".join(self.classes).encode(errors="surrogateescape"))
        for array in (self.paths.text, self.paths.start, self.labels, self.digests):
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()[:12]

    def path(self, position: int) -> Path:
        return self.root / self.paths[position]

    def rows_of(self, classes: np.ndarray) -> np.ndarray:
        """int64: the images of those identities (positions in `classes`). Raises BctError if none is given."""
        if len(classes) == 0:
            raise BctError("the training set has no identity, expected at least 1")
        return np.flatnonzero(np.isin(self.labels, classes))

    def restricted(self, classes: np.ndarray) -> "ImageIndex":
        """Only the images of those identities, which keep their names and their order. Raises BctError as above."""
        rows = self.rows_of(classes)
        kept, labels = np.unique(self.labels[rows], return_inverse=True)
        names = tuple(self.classes[i] for i in kept)
        paths, labels = self.paths.take(rows), labels.astype(np.int32)
        return replace(
            self, paths=paths, labels=labels, sizes=self.sizes[rows], digests=self.digests[rows], classes=names
        )


def index_of(
    root: Path, paths: Iterable[str], identities: Iterable[str], sizes: np.ndarray, left_out: str = ""
) -> ImageIndex:
    """The index of given files, in the order of their identities' names, then of their paths.

    Raises BctError naming a file that cannot be read.
    """
    paths, identities = list(paths), list(identities)
    classes = tuple(sorted(set(identities)))
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in identities], np.int32)
    order = np.array(sorted(range(len(paths)), key=lambda i: (labels[i], paths[i])), np.int64)
    in_order = PathList.of(paths[i] for i in order)
    digests = file_contents(root, in_order).digests
    return ImageIndex(root, in_order, labels[order], np.asarray(sizes)[order], classes, digests, left_out)


def index_folder(root: Path | str, again: bool = False) -> ImageIndex:
    """The index of ROOT/IDENTITY/**/image; a line says what is left out: identities without an image, other files.

    A kept index is used if no folder has changed since; else, or with `again`, the folder is scanned. Raises BctError
    when it is missing, NoImages when it holds no image in a folder of its identity, and BctError for a name of an
    identity that `class_names` refuses; both Unicode forms of a name are one identity.
    """
    root = Path(root).resolve()
    if not root.is_dir():
        raise BctError(f"{root} is no folder: expected one with a sub-folder of images for each identity")
    index = _kept(root, again, lambda: _scan(root))
    if index.left_out:
        progress.say(f"{root}: {index.left_out}")
    return index


def index_list(path: Path | str, root: Path | str | None = None, again: bool = False) -> ImageIndex:
    """The index of a text file with `path label` on each line; the label, its last word, names the identity.

    root: what the paths are relative to, by default the folder of the list. Raises BctError that names the line where
    there are not two fields or the file does not exist.
    """
    path = Path(path).resolve()
    root = Path(root).resolve() if root else path.parent
    if not path.is_file():
        raise BctError(f"{path} is no file: expected a list with `path label` on each line")
    return _kept(path, again, lambda: _read_list(path, root), root)


def _kept(source: Path, again: bool, make, root: Path | None = None) -> ImageIndex:
    file = entry_path("indexes", source.name, f"{FORMAT} {source} {root}")
    if not again and (kept := _load(file, root or source)):
        return kept
    index, watched, times = make()
    try:
        _save(file, index, watched, times)
    except BctError as error:
        progress.say(f"the index of {source} cannot be kept ({error}): it will be made again next time")
    return index


def _save(path: Path, index: ImageIndex, watched: PathList, times: np.ndarray) -> None:
    classes = PathList.of(index.classes)
    save_arrays(
        path, text=index.paths.text, start=index.paths.start, labels=index.labels, sizes=index.sizes,
        class_text=classes.text, class_start=classes.start, watched_text=watched.text, watched_start=watched.start,
        times=times, left_out=PathList.of([index.left_out]).text,
    )  # fmt: skip


def _load(path: Path, root: Path) -> ImageIndex | None:
    """What `_save` wrote, with the present content of the files; None where it is damaged or files came or went.

    A file that comes, goes or is renamed changes the time of its folder.
    """
    if (a := load_arrays(path)) is None:
        return None
    paths, watched, sizes = PathList(a["text"], a["start"]), PathList(a["watched_text"], a["watched_start"]), a["sizes"]
    now = np.fromiter(in_threads(lambda name: change_time(root / name), watched), np.int64)
    if not np.array_equal(now, a["times"]):
        return None
    found = file_contents(root, paths)
    if ((found.sizes < 0) & (sizes > 0)).any():
        return None
    classes, left_out = tuple(PathList(a["class_text"], a["class_start"])), os.fsdecode(a["left_out"].tobytes())
    return ImageIndex(root, paths, a["labels"], np.maximum(found.sizes, 0), classes, found.digests, left_out)


def _scan(root: Path) -> tuple[ImageIndex, PathList, np.ndarray]:
    left_out, dead = LeftOut(), []
    try:
        time = change_time(root)
        with os.scandir(root) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        folders = [e.name for e in found if not e.name.startswith(".") and is_folder(e)]
        for entry in found:
            if entry.name.startswith("."):
                left_out.add_hidden(entry, entry.name)
            elif is_image(entry):
                left_out.add(BESIDE, entry.name)
            elif is_dead_link(entry):  # of a class, perhaps
                left_out.add(DEAD_LINK, entry.name)
                dead.append(entry.name)
    except OSError as error:
        raise BctError(f"cannot read {root}: {error.strerror}") from error
    names = class_names(folders, str(root))
    paths, identities, sizes, watched = [], [], [], [".", *dead]
    times = [time, *(change_time(root / link) for link in dead)]
    with progress.task(f"index of {root.name}", len(folders), unit="identity", every_s=5) as task:
        scanned = in_threads(lambda name: scan_identity(root, name), folders, chunk=8)
        for done, (folder, name, part) in enumerate(zip(folders, names, scanned, strict=True), 1):
            paths += [path for path, _ in part.images]
            sizes += [size for _, size in part.images]
            identities += [name] * len(part.images)
            watched += [path for path, _ in part.folders]
            times += [time for _, time in part.folders]
            left_out.add_all(part.left_out)
            if not part.images:
                left_out.add(EMPTY, folder)
            task.step(done, images=float(len(paths)))
    if not paths:
        loose, _ = left_out.kinds.pop(BESIDE, (0, ""))
        hints = [f"{loose} images lie directly in it"] if loose else []
        hints += [left_out.text()] if left_out.kinds else []
        expected = "; ".join(["expected IDENTITY/name.jpg", *hints])
        raise NoImages(f"{root} holds no image in a folder of its identity: {expected}")
    index = index_of(root, paths, identities, np.array(sizes, np.int64), left_out.text())
    return index, PathList.of(watched), np.array(times, np.int64)


def _read_list(path: Path, root: Path) -> tuple[ImageIndex, PathList, np.ndarray]:
    paths, identities = [], []
    try:
        time = change_time(path)
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror}") from error
    for line, text in enumerate(text_lines(path, "`path label` on each line"), 1):
        if not text.strip():
            continue
        words = path_and_label(text)
        if len(words) != 2:
            raise BctError(f"{path}, line {line}: has {len(words)} field, expected 2 (path label)")
        paths.append((words[0].replace("\\", "/").removeprefix("./"), line))
        identities.append(words[1])
    if not paths:
        raise BctError(f"{path} is empty: expected lines of path and label")
    sizes = np.fromiter(in_threads(lambda entry: size_of(root / entry[0]), paths), np.int64)
    if (sizes < 0).any():
        missing = np.flatnonzero(sizes < 0)
        name, line = paths[missing[0]]
        how_many = f"{len(missing)} of {len(paths)} are missing"
        raise BctError(f"{path}, line {line}: there is no file {root / name} ({how_many})")
    index = index_of(root, [name for name, _ in paths], class_names(identities, str(path)), sizes)
    return index, PathList.of([str(path)]), np.array([time], np.int64)
