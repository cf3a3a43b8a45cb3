"""Arrays kept in the store, so that a second scan or reading of the same source is quick.

An entry is one sealed .npz file. One that is interrupted, damaged or deleted counts as absent and is made again.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bctlib.base import locations
from bctlib.base.errors import BctError
from bctlib.base.files import is_sealed, seal

FORMAT = 2


def entry_path(folder: str, name: str, key: str) -> Path:
    """The file of an entry in a folder of the store. key: any text; entries of different keys have different files."""
    digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:12]
    return locations.store_dir() / folder / f"{name}-{digest}.npz"


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an entry by name; None if it is absent or damaged."""
    if not is_sealed(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)  # reading checks the CRC of every array
    except Exception:  # a damaged archive raises errors of many kinds
        return None


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an entry. Raises BctError if the store cannot be written; NumPy refuses arrays of objects."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a name, NumPy would append a suffix to it
            np.savez(file, allow_pickle=False, **arrays)

    seal(path, write)


def cached_arrays(
    kind: str, sources: list[Path], parse: Callable[[], dict[str, np.ndarray]]
) -> tuple[dict[str, np.ndarray], bool]:
    """The arrays that `parse` returns for the text files `sources`, and whether they came from the store.

    The entry is addressed by paths, sizes and times of the sources, so that an edited source is parsed again. kind: a
    short name of what is parsed, part of the file's name. If the store cannot be written, nothing is kept. Raises
    BctError for a missing source.
    """
    path = _entry(kind, sources)
    arrays = load_arrays(path)
    if arrays is not None:
        return arrays, True
    arrays = parse()
    if _entry(kind, sources) == path:  # not edited meanwhile
        with contextlib.suppress(BctError):
            save_arrays(path, **arrays)
    return arrays, False


def _entry(kind: str, sources: list[Path]) -> Path:
    states = []
    for source in sources:
        try:
            state = source.stat()
        except OSError as error:
            raise BctError(f"cannot read {source}: {error.strerror}") from error
        states.append([str(source.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns])
    return entry_path("parsed", kind, json.dumps([FORMAT, kind, states]))
