"""Feature files as people hand them over: opened without being read, and refused in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bctlib.base.array_files import map_array
from bctlib.base.errors import BctError

BLOCK_ELEMENTS = 1 << 24

FeatureSource = np.ndarray | str | Path
"""An array [n, d], or the .npy file that holds one."""


@dataclass(frozen=True)
class Features:
    """Features with where they come from. name: the argument they were given as; path: None for an array."""

    name: str
    array: np.ndarray
    path: Path | None = None

    @property
    def label(self) -> str:
        """What messages call them."""
        return str(self.path) if self.path else self.name

    def notes(self) -> list[str]:
        if self.array.dtype == np.float32:
            return []
        return [f"{self.label} is {self.array.dtype} and was converted to float32"]


def load_features(path: str | Path) -> np.ndarray:
    """The features [n, d] of a .npy file as a read-only memory map, in the type they were saved in.

    Raises BctError when the file is missing, is no .npy file of plain numbers (a pickle, an .npz), is cut off, or
    its array is not [n, d]. Whether the values are finite is found out when they are used.
    """
    return check_shape(str(path), map_array(Path(path)))


def check_shape(label: str, array: np.ndarray) -> np.ndarray:
    """Give `array` back, or raise BctError where it is no [n, d] of real numbers with n, d > 0."""
    if array.ndim != 2 or 0 in array.shape:
        raise BctError(f"{label} holds an array of shape {array.shape}: expected two dimensions, [rows, features]")
    if array.dtype.kind not in "fiu":
        raise BctError(f"{label} holds values of type {array.dtype}: expected real numbers")
    return array


def open_features(
    name: str, source: FeatureSource | None, n_rows: int | None = None, rows: str = ""
) -> Features | None:
    """Features from an array or a file (None stays None) with n_rows rows; `rows` says in messages what each is of."""
    if source is None:
        return None
    if isinstance(source, str | Path):
        features = Features(name, load_features(source), Path(source))
    else:
        features = Features(name, check_shape(name, np.asarray(source)))
    if n_rows is not None and len(features.array) != n_rows:
        raise BctError(f"{features.label} has {len(features.array):,} rows: expected {n_rows:,}, one for each {rows}")
    return features


@contextmanager
def faults_named(*given: Features | None) -> Iterator[None]:
    """Whatever is refused inside becomes one sentence; values that are not finite are found in their file."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # found below, and said as an error
            yield
    except (BctError, ValueError) as error:
        for features in given:
            if features is not None and (row := _first_bad_row(features.array)) is not None:
                said = f"{features.label}: row {row} holds NaN, infinite or overflowing values, expected finite numbers"
                raise BctError(said) from error
        raise error if isinstance(error, BctError) else BctError(str(error)) from error


def _first_bad_row(array: np.ndarray) -> int | None:
    step = max(1, BLOCK_ELEMENTS // array.shape[1])
    for start in range(0, len(array), step):
        with np.errstate(over="ignore"):
            block = np.asarray(array[start : start + step], dtype=np.float32)
            good = np.isfinite(np.einsum("ij,ij->i", block, block))
        if not good.all():
            return start + int(np.flatnonzero(~good)[0])
    return None
