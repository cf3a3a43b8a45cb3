"""Files that are either finished and verified, or not there.

`seal` writes a file under a temporary name, renames it, and writes beside it, last, `NAME.sha256`: its digest. A file
without that marker is an interrupted one and counts as absent; one that does not match its marker is damaged.
"""

import glob
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bctlib.errors import BctError


def digest_of(path: Path) -> str:
    """sha256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary path in the same folder, then rename that over `path`.

    Whatever interrupts `write`, `path` holds its old content or none. Raises BctError when the folder cannot be
    written (read-only, disk full).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
    except OSError as error:
        raise BctError(f"cannot write into {path.parent}: {error.strerror}") from error
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except OSError as error:
        raise BctError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of writers of `path` that were killed. Only for who alone writes it now.

    Those of the safetensors library, which has its own in the same folder, are called .tmp and some letters.
    """
    for pattern in (f".{glob.escape(path.name)}.*", ".tmp??????"):
        for temporary in path.parent.glob(pattern):
            temporary.unlink(missing_ok=True)


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
