"""Arrays in .npy files as people hand them over: nothing is unpickled, and no more is read than the file holds."""

import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bctlib.base.errors import BctError

_MAGIC, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


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
