"""Read what users hand over: features, lists of pairs, identities; from arrays, .npy files and text files.

Feature files are mapped, not read. Each fault is one sentence that names the file, and the line or row.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import as_array, digest_of, map_array
from bctlib.data.paper.ijbc_text import read_integer_lines
from bctlib.data.paper.market1501 import Market1501Labels
from bctlib.data.photos.class_names import one_form, read_lines

BLOCK_ELEMENTS = 1 << 24

FeatureSource = np.ndarray | str | Path
"""An array [n, d], or the .npy file that holds one."""


@dataclass(frozen=True)
class Features:
    """Features and their origin. name: the argument that held them; path: None for an array."""

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
    its array is not [n, d]. Values are checked for NaN and infinity only when they are used.
    """
    return check_shape(str(path), map_array(Path(path)))


def check_shape(label: str, array: np.ndarray) -> np.ndarray:
    """Return `array`, or raise BctError unless it is [n, d] of real numbers with n, d > 0."""
    if array.ndim != 2 or 0 in array.shape:
        raise BctError(f"{label} holds an array of shape {array.shape}: expected two dimensions, [rows, features]")
    if array.dtype.kind not in "fiu":
        raise BctError(f"{label} holds values of type {array.dtype}: expected real numbers")
    return array


def open_features(
    name: str, source: FeatureSource | None, n_rows: int | None = None, rows: str = ""
) -> Features | None:
    """Features from an array or a file (None stays None) with n_rows rows. rows: what a row is, for messages."""
    if source is None:
        return None
    if isinstance(source, str | Path):
        features = Features(name, load_features(source), Path(source))
    else:
        features = Features(name, check_shape(name, as_array(name, source)))
    if n_rows is not None and len(features.array) != n_rows:
        raise BctError(f"{features.label} has {len(features.array):,} rows: expected {n_rows:,}, one for each {rows}")
    return features


@contextmanager
def faults_named(*given: Features | None) -> Iterator[None]:
    """Turn errors inside into one sentence (BctError) that names the file and row of a value that is not finite."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # found below and reported as an error
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


LONGEST = 1000
"""Characters of an identity in a text file."""
_PADDED = re.compile("-?0[0-9]+")
PAIR_FIELDS = ("query row", "gallery row", "label")


def read_pairs(
    source: np.ndarray | str | Path, n_query: int, n_gallery: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    """(query rows, gallery rows, bool genuine, record for the report), each [p], checked against the row numbers."""
    record, label, array, unit = _source("pairs", source)
    if array is None:
        columns = read_integer_lines(Path(source), PAIR_FIELDS)
    elif array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iu":
        expected = ", ".join(PAIR_FIELDS)
        raise BctError(f"{label} holds {array.dtype} {array.shape}: expected integers [p, 3] of {expected}")
    else:
        columns = list(array.T)
    for name, column, n in zip(PAIR_FIELDS, columns, (n_query, n_gallery, 2), strict=True):
        wrong = np.flatnonzero((column < 0) | (column >= n))
        if len(wrong):
            place = wrong[0] + (unit == "line")
            raise BctError(f"{label}, {unit} {place}: {name} is {column[wrong[0]]}, expected 0 to {n - 1}")
    genuine = columns[2].astype(bool)
    if genuine.all() or not genuine.any():
        n = int(np.count_nonzero(genuine))
        raise BctError(f"{label} has {n:,} genuine pairs (label 1) of {len(genuine):,}: expected both labels")
    return columns[0], columns[1], genuine, record


def read_identities(name: str, source: np.ndarray | str | Path) -> tuple[np.ndarray, dict]:
    """Identities [n] and the record for the report.

    Integers where `source` is an array of integers. The lines of a text file are strings, also where all are digits:
    `0900` is another identity than `900`. Both Unicode forms of a name are one identity (`one_form`). Raises BctError
    naming the file, and line, of an entry that is no identity.
    """
    record, label, array, unit = _source(name, source)
    if array is None:
        words = read_lines(source, "an identity")
        for line, word in enumerate(words, 1):
            if len(word) > LONGEST:  # an array of strings has room for the longest in each of its entries
                raise BctError(f"{label}, line {line}: has {len(word):,} characters, expected at most {LONGEST:,}")
        array = np.array(words)
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "iuU":
        raise BctError(f"{label} holds {array.dtype} {array.shape}: expected an integer or string for each row")
    if array.dtype.kind == "U":
        array = np.array(one_form(array.tolist(), label))
    return array, record


def of_one_kind(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Both lists of identities as integers of one type, or both as text.

    names: what messages call the lists. Raises BctError where integers would be compared with numbers that are written
    with leading zeros: it is unknown whether `0900` and 900 are the same.
    """
    if first.dtype.kind == second.dtype.kind:
        return first, second
    if "U" in (first.dtype.kind, second.dtype.kind):
        text, (name, other) = (first, names) if first.dtype.kind == "U" else (second, names[::-1])
        padded = next(filter(_PADDED.fullmatch, text), None)
        if padded is not None:
            raise BctError(
                f"{name} holds {str(padded)!r} and {other} integers, which have no leading zeros: expected text in both"
            )
    return first.astype(str), second.astype(str)  # also of int64 and uint64, which NumPy would compare as float64


def read_market_labels(name: str, path: Path) -> Market1501Labels:
    """Identity and camera from an integer array [n, 2] in a .npy file."""
    _, label, array, _ = _source(name, path)
    if array is None or array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu" or len(array) == 0:
        raise BctError(f"{label}: expected a .npy file of integers [n, 2], identity and camera of each row")
    return Market1501Labels(array[:, 0].astype(np.int64), array[:, 1].astype(np.int64))


def _source(name: str, source) -> tuple[dict, str, np.ndarray | None, str]:
    """Record for the report, what messages call it, the array (None for a text file), and what its entries are."""
    record = {"name": name, "path": None, "sha256": None}
    if not isinstance(source, str | Path):
        return record, name, as_array(name, source), "row"
    path = Path(source)
    try:
        record |= {"path": str(path), "sha256": digest_of(path)}
        if path.suffix != ".npy":
            return record, str(path), None, "line"
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror or error}") from error
    return record, str(path), np.array(map_array(path)), "row"
