"""Text files of lines with a fixed number of unsigned integers, read at the speed of the disk or refused by line.

IJB-C lists its 15,658,489 pairs so. Digits are turned into numbers eight bytes at a time by NumPy; whatever is not
plainly `digits space digits newline` (tabs, CRLF, faults) is read again line by line, and a fault is named.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from bctlib.base.text_lines import MARK
from bctlib.base.errors import BctError

CHUNK_BYTES = 1 << 18
"""What is worked on at a time stays in a core's own cache."""
LONGEST = 8
"""Digits that fit the eight bytes read at a time."""


def read_integer_lines(path: Path, fields: tuple[str, ...]) -> list[np.ndarray]:
    """The columns of a text file of non-negative integers separated by blanks, without a header: int32 [n] each.

    fields: what each column is called, for messages; their number is the number of fields that every line must have.
    Raises BctError that names file and line where a line has another number of fields, or a field is no integer from
    0 to 2**31 - 1, and for a file that is missing or empty.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            edges = _line_edges(file, size)
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror}") from error
    if len(edges) == 1:
        raise BctError(f"{path} is empty: expected lines of {_names(fields)}")
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        parts = list(pool.map(lambda span: _chunk(path, *span, len(fields)), pairwise(edges)))
    if any(part is None for part in parts):
        return _line_by_line(path, edges[0], fields)
    return [np.concatenate([part[:, column] for part in parts]) for column in range(len(fields))]


def _line_edges(file, size: int) -> list[int]:
    """Byte positions that cut the file, behind a byte-order mark, into chunks of whole lines."""
    edges = [len(MARK) if file.read(len(MARK)) == MARK else 0]
    while edges[-1] < size:
        file.seek(min(edges[-1] + CHUNK_BYTES, size))
        file.readline()
        edges.append(file.tell())
    return edges


def _chunk(path: Path, start: int, stop: int, n_fields: int) -> np.ndarray | None:
    """int32 [lines, n_fields], or None where the chunk is not in the plain form."""
    with path.open("rb") as file:
        file.seek(start)
        # Eight bytes in front, so that there are eight before the first separator; a last line may lack its newline.
        text = b"0" * LONGEST + file.read(stop - start)
    if not text.endswith(b"\n"):
        text += b"\n"
    codes = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(codes < ord("0"))
    n_digits = np.count_nonzero((codes - np.uint8(ord("0"))) <= 9)
    if len(ends) % n_fields or n_digits + len(ends) != len(codes):
        return None
    separators = codes[ends].reshape(-1, n_fields)
    if (separators[:, :-1] != ord(" ")).any() or (separators[:, -1] != ord("\n")).any():
        return None
    lengths = np.diff(ends, prepend=LONGEST - 1) - 1
    if lengths.min() < 1 or lengths.max() > LONGEST:
        return None
    numbers = np.empty((len(separators), n_fields), np.int32)
    for column in range(n_fields):
        numbers[:, column] = _numbers(text, codes, ends[column::n_fields], lengths[column::n_fields])
    return numbers


def _numbers(text: bytes, codes: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers whose `lengths` digits stand just before the positions `ends` of the text."""
    if lengths.max() == 1:
        return codes[ends - 1] & 0x0F
    # The eight bytes before each separator, the first digit in the lowest byte.
    windows = np.ndarray(len(codes) - 7, "<u8", buffer=text, strides=(1,))[ends - LONGEST]
    foreign = ((LONGEST - lengths) * 8).astype(np.uint64)
    value = (windows & np.uint64(0x0F0F0F0F0F0F0F0F)) >> foreign << foreign
    # Neighbouring digits, then pairs, then fours are joined by one multiplication each.
    value = (value * np.uint64(2561) >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    value = (value * np.uint64(6553601) >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    return value * np.uint64(42949672960001) >> np.uint64(32)


def _line_by_line(path: Path, start: int, fields: tuple[str, ...]) -> list[np.ndarray]:
    rows = []
    with path.open("rb") as file:
        file.seek(start)
        for number, line in enumerate(file, 1):
            words = line.split()
            if len(words) != len(fields):
                raise BctError(f"{path}, line {number}: has {len(words)} fields, expected {_names(fields)}")
            for name, word in zip(fields, words, strict=True):
                if not word.isdigit() or len(word) > 10 or int(word) >= 2**31:
                    found = word.decode(errors="replace")
                    raise BctError(f"{path}, line {number}: {name} is {found!r}, expected an integer from 0 on")
            rows.append(tuple(map(int, words)))
    return list(np.array(rows, np.int32).T)


def _names(fields: tuple[str, ...]) -> str:
    return f"{len(fields)} ({' '.join(fields)})"
