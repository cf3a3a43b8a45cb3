"""Files that are either complete and verified, or absent; and .npy files from users.

`seal` writes a file in a temporary folder beside it, renames it, and last writes its digest to `NAME.sha256`. A file
without that marker is unfinished and counts as absent; one that does not match its marker is damaged.

The temporary folder is named `.NAME.bctlib-` plus random letters and holds `writer.lock`, which the writer keeps locked
while it lives; so `remove_leftovers` recognises what killed writers left. Temporary files that libraries write beside
their output (safetensors: `.tmp` and six letters) are in this folder too.

`map_array` opens a user's .npy file: nothing is unpickled, and no more is read than the file holds.
"""

import contextlib
import glob
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from bctlib.base.errors import BctError

_LOCK = "writer.lock"


def digest_of(path: Path) -> str:
    """sha256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a path of the same name in a folder beside it, then rename that over `path`.

    Whatever interrupts `write`, `path` holds its old content or none. Raises BctError when the folder cannot be
    written (read-only, disk full).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder, lock = _temporary_folder(path)
    except OSError as error:
        raise BctError(f"cannot write into {path.parent}: {error.strerror}") from error
    temporary = folder / path.name
    try:
        write(temporary)
        temporary.chmod(0o644)  # whatever the umask, and a library's own temporary file is private
        os.replace(temporary, path)
    except OSError as error:
        raise BctError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        _remove(folder, lock)


def _temporary_folder(path: Path) -> tuple[Path, FileLock]:
    """A new folder beside `path`, and its lock, which this process holds."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=_ours(path)))
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):
            pass  # another process took it for a leftover before it was locked
        except (OSError, NotImplementedError):  # a file system without locks: what is killed here stays
            (folder / _LOCK).unlink(missing_ok=True)
            return folder, lock
        if lock.is_locked and (folder / _LOCK).exists():
            return folder, lock
        _remove(folder, lock)


def _remove(folder: Path, lock: FileLock) -> None:
    """Remove a temporary folder. Failures are ignored, because nothing reads it.

    The lock is removed last, so that a process killed here leaves what `remove_leftovers` recognises.
    """
    with contextlib.suppress(OSError):
        for each in folder.iterdir():
            if each.name != _LOCK:
                each.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()


def _ours(path: Path) -> str:
    return f".{path.name}.bctlib-"


def remove_leftovers(path: Path) -> None:
    """Remove the temporary folders of writers of `path` and its marker that were killed; the living keep theirs."""
    for name in (path, marker(path)):
        for folder in path.parent.glob(f"{glob.escape(_ours(name))}*"):
            # Timeout is an OSError: its writer lives. Another user's is not ours to remove.
            with contextlib.suppress(OSError, NotImplementedError):
                if (folder / _LOCK).is_file() and not folder.is_symlink():
                    lock = FileLock(folder / _LOCK)
                    lock.acquire(timeout=0)
                    _remove(folder, lock)
                else:
                    folder.rmdir()  # an empty one, else it is not ours: killed before or after it had a lock


def marker(path: Path) -> Path:
    """The file that says that `path` is finished."""
    return path.with_name(path.name + ".sha256")


def seal(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file that `is_sealed` and `check_seal` will trust."""
    try:
        marker(path).unlink(missing_ok=True)
    except OSError as error:
        raise BctError(f"cannot write into {path.parent}: {error.strerror}") from error
    replace_atomically(path, write)
    text = f"{digest_of(path)}  {path.name}\n"
    replace_atomically(marker(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))


def is_sealed(path: Path) -> bool:
    """Whether the file was finished; its content is not read."""
    return path.exists() and marker(path).exists()


def check_seal(path: Path) -> None:
    """Read the file once and compare it with its marker. Raises BctError naming the file when they differ."""
    try:
        expected = marker(path).read_text(encoding="utf-8").split()[0]
        found = digest_of(path)
    except (OSError, IndexError, UnicodeError) as error:
        raise BctError(f"{path} is unfinished or its marker {marker(path).name} is damaged") from error
    if found != expected:
        raise BctError(f"{path} is damaged: its sha256 is not the one in {marker(path).name}")


def set_aside(path: Path, error: BctError) -> BctError:
    """Move a sealed file that cannot be used out of the way, so that the next run makes it again.

    It is kept as NAME.damaged (replacing an earlier one), to be looked at or deleted. Gives the error to raise: what
    `error` says of the file, and what has become of it.
    """
    aside = path.with_name(path.name + ".damaged")
    try:
        marker(path).unlink(missing_ok=True)
        if path.exists():  # else another process has set it aside
            os.replace(path, aside)
    except OSError as fault:
        return BctError(f"{error}; delete it to have it made again (it cannot be set aside: {fault.strerror})")
    return BctError(f"{error}; it was set aside as {aside.name}, and the next run makes it again")


_MAGIC, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def as_array(name: str, values: object) -> np.ndarray:
    """`values` as an array. name: of the argument. Raises BctError for what NumPy cannot convert.

    Rows of unequal length are such a thing, and tensors that need a gradient, are on a GPU or of type bfloat16.
    """
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise BctError(
            f"{name}: expected what NumPy can make an array of, got {type(values).__name__}: {said}"
        ) from error


def map_array(path: Path) -> np.ndarray:
    """The array of a .npy file as a read-only memory map: whatever its header claims, the file must have the bytes.

    Raises BctError when the file is missing, is no .npy file (a pickle, an .npz), holds objects or is cut off.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
            file.seek(0)
            empty = begins == _MAGIC and _dtype(file).itemsize == 0
        if empty:  # NumPy would divide by that size, and with it the whole process would end
            raise BctError(f"{path} holds elements of no size: expected an array of numbers")
        if begins == _MAGIC:
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except BctError:
        raise
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what a damaged header does to NumPy's reader has no end of kinds
        if "object" in str(error).lower():
            raise BctError(f"{path} holds pickled objects, which are refused: expected an array of numbers") from error
        raise BctError(f"{path} is cut off or damaged: expected a whole .npy file") from error
    if begins.startswith(_ZIP):
        raise BctError(f"{path} is an .npz archive{_contents(path)}: expected one array in a .npy file")
    raise BctError(f"{path} is no .npy file (pickles are refused): expected an array saved with numpy.save")


def _dtype(file: BinaryIO) -> np.dtype:
    """What the header says of the elements; the file stands at its beginning."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format is only for records")
    return _HEADERS[version](file)[2]


def _contents(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception:  # a damaged archive: what was in it does not matter
        return ""
    return " of " + " ".join(", ".join(names[:8]).split())
