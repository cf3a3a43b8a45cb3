"""An index of the images of a data set by identity: made once, kept, and compared with the disk whenever it is used.

Two forms are understood: a folder with one sub-folder for each identity, and a text list with `path label` on each
line. The index lies in `store/indexes/`, one sealed file.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bctlib import locations, progress
from bctlib.data.image_files import is_image_name
from bctlib.data.name_lists import class_names
from bctlib.data.path_list import PathList
from bctlib.data.text_lines import path_and_label, text_lines
from bctlib.data.threads import in_threads
from bctlib.errors import BctError
from bctlib.files import check_seal, is_sealed, seal

FORMAT = 2
_SPOT_CHECKS = 256


@dataclass(frozen=True)
class ImageIndex:
    """n images of C identities below `root`.

    paths: relative to root, in the order of their labels, then of their names. labels: int32 [n], positions in
    `classes`, whose names are sorted: they, not positions, tie the classes of one model to those of another.
    sizes: int64 [n], bytes of each file.
    """

    root: Path
    paths: PathList
    labels: np.ndarray
    sizes: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def version(self) -> str:
        """Short sha256 of paths, identities and sizes, wherever `root` is: names the data in a recipe."""
        total = hashlib.sha256("\n".join(self.classes).encode(errors="surrogateescape"))
        for array in (self.paths.text, self.paths.start, self.labels, self.sizes):
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
        return ImageIndex(self.root, self.paths.take(rows), labels.astype(np.int32), self.sizes[rows], names)


def index_of(root: Path, paths: Iterable[str], identities: Iterable[str], sizes: np.ndarray) -> ImageIndex:
    """The index of given files, in the order of their identities' names, then of their paths."""
    paths, identities = list(paths), list(identities)
    classes = tuple(sorted(set(identities)))
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in identities], np.int32)
    order = np.array(sorted(range(len(paths)), key=lambda i: (labels[i], paths[i])), np.int64)
    return ImageIndex(root, PathList.of(paths[i] for i in order), labels[order], np.asarray(sizes)[order], classes)


def index_folder(root: Path | str, again: bool = False) -> ImageIndex:
    """The index of ROOT/IDENTITY/**/image; identities without an image, hidden files and other files are left out.

    A kept index is used if no folder has changed since and a sample of files still has its size; else, or with
    `again`, the folder is scanned. Raises BctError when it is missing or holds no image in a folder of its identity,
    and for a name of an identity that `class_names` refuses; both Unicode forms of a name are one identity.
    """
    root = Path(root).resolve()
    if not root.is_dir():
        raise BctError(f"{root} is no folder: expected one with a sub-folder of images for each identity")
    return _kept(root, again, lambda: _scan(root))


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
    key = hashlib.sha256(f"{FORMAT} {source} {root}".encode(errors="surrogateescape")).hexdigest()[:12]
    file = locations.store_dir() / "indexes" / f"{source.name}-{key}.npz"
    if not again and is_sealed(file):
        kept = _load(file, root or source)
        if kept and _is_current(*kept):
            return kept[0]
    index, watched, times = make()
    try:
        seal(file, lambda temporary: _save(temporary, index, watched, times))
    except BctError as error:
        progress.say(f"the index of {source} cannot be kept ({error}): it will be made again next time")
    return index


def _save(path: Path, index: ImageIndex, watched: PathList, times: np.ndarray) -> None:
    classes = PathList.of(index.classes)
    with path.open("wb") as file:  # given a name, NumPy would append a suffix to it
        np.savez(
            file, allow_pickle=False, text=index.paths.text, start=index.paths.start, labels=index.labels,
            sizes=index.sizes, class_text=classes.text, class_start=classes.start,
            watched_text=watched.text, watched_start=watched.start, times=times,
        )  # fmt: skip


def _load(path: Path, root: Path) -> tuple[ImageIndex, PathList, np.ndarray] | None:
    """What `_save` wrote, or None where it is damaged: an index can always be made again."""
    try:
        check_seal(path)
        with np.load(path, allow_pickle=False) as a:
            classes = tuple(PathList(a["class_text"], a["class_start"]))
            index = ImageIndex(root, PathList(a["text"], a["start"]), a["labels"], a["sizes"], classes)
            return index, PathList(a["watched_text"], a["watched_start"]), a["times"]
    except (BctError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _is_current(index: ImageIndex, watched: PathList, times: np.ndarray) -> bool:
    """A file that comes, goes or is renamed changes the time of its folder; one written over is seen by sample only."""
    now = np.fromiter(in_threads(lambda path: _time(index.root / path), watched), np.int64)
    if not np.array_equal(now, times):
        return False
    sample = np.unique(np.linspace(0, len(index) - 1, min(len(index), _SPOT_CHECKS)).astype(int))
    return all(_size(index.path(i)) == index.sizes[i] for i in sample)


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return -1


def _scan(root: Path) -> tuple[ImageIndex, PathList, np.ndarray]:
    try:
        with os.scandir(root) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
            folders = [e.name for e in found if not e.name.startswith(".") and e.is_dir()]
        loose = sum(is_image_name(e.name) for e in found)
        time = root.stat().st_mtime_ns
    except OSError as error:
        raise BctError(f"cannot read {root}: {error.strerror}") from error
    names = class_names(folders, str(root))
    paths, identities, sizes, watched, times = [], [], [], ["."], [time]
    with progress.task(f"index of {root.name}", len(folders), unit="identity", every_s=5) as task:
        scanned = in_threads(lambda name: _scan_identity(root, name), folders, chunk=8)
        for done, (files, visited) in enumerate(scanned, 1):
            paths += [path for path, _ in files]
            sizes += [size for _, size in files]
            identities += [names[done - 1]] * len(files)
            watched += [path for path, _ in visited]
            times += [time for _, time in visited]
            task.step(done, images=float(len(paths)))
    if not paths:
        hint = f"; {loose} images lie directly in it" if loose else ""
        raise BctError(f"{root} holds no image in a folder of its identity: expected IDENTITY/name.jpg{hint}")
    index = index_of(root, paths, identities, np.array(sizes, np.int64))
    return index, PathList.of(watched), np.array(times, np.int64)


def _scan_identity(root: Path, name: str) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(path, size) of every image below ROOT/NAME, and (path, time) of every folder; links to folders end there."""
    files, visited, waiting = [], [], [name]
    while waiting:
        folder = waiting.pop()
        try:
            visited.append((folder, (root / folder).stat().st_mtime_ns))
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}"
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
                    elif is_image_name(entry.name):
                        files.append((path, max(0, _size(root / path))))  # a dead link counts as empty
        except OSError as error:
            raise BctError(f"cannot read {error.filename or root / folder}: {error.strerror}") from error
    return sorted(files), visited


def _read_list(path: Path, root: Path) -> tuple[ImageIndex, PathList, np.ndarray]:
    paths, identities = [], []
    try:
        time = path.stat().st_mtime_ns
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
    sizes = np.fromiter(in_threads(lambda entry: _size(root / entry[0]), paths), np.int64)
    if (sizes < 0).any():
        missing = np.flatnonzero(sizes < 0)
        name, line = paths[missing[0]]
        how_many = f"{len(missing)} of {len(paths)} are missing"
        raise BctError(f"{path}, line {line}: there is no file {root / name} ({how_many})")
    index = index_of(root, [name for name, _ in paths], class_names(identities, str(path)), sizes)
    return index, PathList.of([str(path)]), np.array([time], np.int64)
