"""Parsed text files kept as arrays, so that the second reading of a big one is quick.

An entry lies in `store/parsed/`, sealed, under a name made of the sources' paths, sizes and times of change: an edited
source is parsed anew, and an entry that is interrupted, damaged or deleted too.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bctlib.base import locations
from bctlib.base.errors import BctError
from bctlib.base.files import is_sealed, marker, seal

FORMAT = 2


def cached_arrays(
    kind: str, sources: list[Path], parse: Callable[[], dict[str, np.ndarray]]
) -> tuple[dict[str, np.ndarray], bool]:
    """What `parse` gives for `sources`, from the cache where they have not changed; and whether it came from there.

    kind: a short name of what is parsed (part of the file's name). Arrays of objects are refused by NumPy. A cache
    that cannot be written (a read-only store) is done without. Raises BctError for a source that is missing.
    """
    path = _entry(kind, sources)
    if is_sealed(path):
        try:
            with np.load(path, allow_pickle=False) as archive:
                return dict(archive), True  # reading checks the CRC of every array
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            marker(path).unlink(missing_ok=True)
    arrays = parse()
    if _entry(kind, sources) == path:  # not edited meanwhile
        try:
            seal(path, lambda temporary: _save(temporary, arrays))
        except BctError:
            pass
    return arrays, False


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # given a name, NumPy would append a suffix to it
        np.savez(file, allow_pickle=False, **arrays)


def _entry(kind: str, sources: list[Path]) -> Path:
    states = []
    for source in sources:
        try:
            state = source.stat()
        except OSError as error:
            raise BctError(f"cannot read {source}: {error.strerror}") from error
        states.append([str(source.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns])
    key = hashlib.sha256(json.dumps([FORMAT, kind, states]).encode()).hexdigest()[:16]
    return locations.store_dir() / "parsed" / f"{kind}-{key}.npz"
