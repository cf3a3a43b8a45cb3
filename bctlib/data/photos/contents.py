"""Digests of the contents of image files, which tell a replaced image from a copy without reading every file in full.

A file of at most WHOLE bytes is read in full; of a longer one, its length and eight blocks at even distances including
the first and last bytes. 1,000,000 photographs of 100 kB take about four minutes on two cores the first time, and half
a minute if nothing has changed. `store/contents/` keeps the digests with length and times (of content and of state) of
each file, and a file is read again only if one of these has changed. So a copied or touched file counts as unchanged,
and an image that was replaced by one of the same length does not, even if its modification time was set back.
"""

import contextlib
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.data.photos.files import PathList, in_threads
from bctlib.data.photos.parsed_cache import entry_path, load_arrays, save_arrays

FORMAT = 1
WHOLE = 32 * 1024
_BLOCKS, _BLOCK = 8, 4096
_DIGEST = 16
# A file written this shortly before it was read may be written again without its times changing: it is read next time.
_FRESH_NS = 2_000_000_000


@dataclass(frozen=True)
class FileContents:
    """Of n files: sizes, int64 [n], bytes, -1 where there is no such file; digests, uint8 [n,16]."""

    sizes: np.ndarray
    digests: np.ndarray


@dataclass(frozen=True)
class _Table:
    """What is known of n files. states: int64 [n,3], length and two times; fresh: bool [n], read too early to trust."""

    paths: PathList
    states: np.ndarray
    digests: np.ndarray
    fresh: np.ndarray


def file_contents(root: Path, paths: PathList) -> FileContents:
    """The contents of the files `paths` below `root`, from what is kept of them where they have not changed.

    Says in a line where files of more than WHOLE bytes were written or touched since, and seem the same by the blocks
    that are read. Raises BctError naming a file that cannot be read.
    """
    began = time.time_ns()
    states = np.array(list(in_threads(lambda path: _state(root / path), paths)), np.int64).reshape(len(paths), 3)
    kept, known = _kept(root, paths)
    same = known & (kept.states == states).all(axis=1)
    due = np.flatnonzero(~(same & ~kept.fresh) & (states[:, 0] >= 0))
    digests = np.where(same[:, None], kept.digests, 0).astype(np.uint8)
    with progress.task(f"content of {root.name}", len(due), unit="file", every_s=5) as task:
        names = (paths[row] for row in due)
        for done, digest in enumerate(in_threads(partial(_digest, root), names), 1):
            digests[due[done - 1]] = np.frombuffer(digest, np.uint8)
            if done % 1000 == 0 or done == len(due):
                task.step(done)
    touched = known & ~same & (kept.digests == digests).all(axis=1) & (states[:, 0] > WHOLE)
    if touched.any():
        _say_doubt(root, paths, np.flatnonzero(touched))
    if len(due) or not same.all():
        fresh = states[:, 1:].max(axis=1, initial=0) > began - _FRESH_NS
        _keep(root, _Table(paths, states, digests, fresh))
    return FileContents(states[:, 0], digests)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return -1, 0, 0
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
        return -1, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(root: Path, path: str) -> bytes:
    try:
        with (root / path).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            total = hashlib.blake2b(str(size).encode(), digest_size=_DIGEST)
            if size <= WHOLE:
                total.update(file.read())
            else:
                for block in range(_BLOCKS):
                    file.seek((size - _BLOCK) * block // (_BLOCKS - 1))
                    total.update(file.read(_BLOCK))
            return total.digest()
    except OSError as error:
        raise BctError(f"{root / path}: cannot be read: {error.strerror or error}") from error


def _say_doubt(root: Path, paths: PathList, rows: np.ndarray) -> None:
    which = f"{root / paths[rows[0]]}" + (f" and {len(rows) - 1:,} other files" if len(rows) > 1 else "")
    progress.say(
        f"{which}: written or touched since last read; same length and same {_BLOCKS} blocks of {_BLOCK // 1024} KiB, "
        "so taken for the same"
    )


def _file(root: Path) -> Path:
    return entry_path("contents", root.name, f"{FORMAT} {root}")


def _kept(root: Path, paths: PathList) -> tuple[_Table, np.ndarray]:
    """What is kept of these files, in their order, and of which of them anything is: bool [n]."""
    n = len(paths)
    table = _load(_file(root))
    if table is None:
        nothing = _Table(paths, np.zeros((n, 3), np.int64), np.zeros((n, _DIGEST), np.uint8), np.zeros(n, bool))
        return nothing, np.zeros(n, bool)
    if np.array_equal(table.paths.start, paths.start) and np.array_equal(table.paths.text, paths.text):
        return table, np.ones(n, bool)
    row_of = {path: row for row, path in enumerate(table.paths)}
    rows = np.fromiter((row_of.get(path, -1) for path in paths), np.int64, count=n)
    return _Table(paths, table.states[rows], table.digests[rows], table.fresh[rows]), rows >= 0


def _load(file: Path) -> _Table | None:
    """What `_keep` wrote, or None where it is damaged: it can always be made again."""
    a = load_arrays(file)
    if a is None or len(a["states"]) == 0:
        return None
    return _Table(PathList(a["text"], a["start"]), a["states"], a["digests"], a["fresh"])


def _keep(root: Path, table: _Table) -> None:
    with contextlib.suppress(BctError):  # a store that cannot be written costs the time of reading again
        save_arrays(
            _file(root), text=table.paths.text, start=table.paths.start, states=table.states, digests=table.digests,
            fresh=table.fresh,
        )  # fmt: skip
