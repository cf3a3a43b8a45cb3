"""Readers for the text files of IJB-C's meta/: images, landmarks, galleries and probes, and pairs.

pandas reads a file without faults; any other file is read again line by line, to name the fault.

The 15,658,489 pairs are lines with a fixed number of unsigned integers. NumPy converts digits eight bytes at a time;
text other than `digits space digits newline` (tabs, CRLF, faults) is read again line by line.
"""

import csv
import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.text_lines import MARK, plain_text, rows_of_text, text_lines, words_of

if TYPE_CHECKING:
    import pandas as pd


def read_images(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, templates and media (int32 [n] each) of the images. Raises BctError naming file and line."""
    table = _table(plain_text(path), {"name": str, "template": np.int32, "medium": np.int32})
    if table is None or not table["name"].all() or not (table[["template", "medium"]] >= 0).all(axis=None):
        return _images_line_by_line(path)
    return table["name"].tolist(), table["template"].to_numpy(), table["medium"].to_numpy()


def _images_line_by_line(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    names, numbers = [], []
    for line, text in enumerate(text_lines(path), 1):
        words = words_of(text)
        if len(words) != 3:
            raise BctError(f"{path}, line {line}: has {len(words)} fields, expected 3 (name template medium)")
        names.append(words[0])
        numbers.append((_whole(words[1], "template", path, line), _whole(words[2], "medium", path, line)))
    if not names:
        raise BctError(f"{path} is empty: expected lines of name, template and medium")
    template, medium = np.array(numbers, np.int32).T
    return names, np.ascontiguousarray(template), np.ascontiguousarray(medium)


def read_points(path: Path, names: list[str], names_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks float32 [n, 5, 2] and detector scores float32 [n] of the images `names`, read from `names_path`."""
    values = _points_at_once(path, names)
    if values is None:  # some fault, or blanks other than one space
        values = _points_line_by_line(path, names, names_path)
    return values[:, :10].reshape(-1, 5, 2), np.ascontiguousarray(values[:, 10])


def _points_at_once(path: Path, names: list[str]) -> np.ndarray | None:
    """float32 [n, 11] of a file in which nothing is wrong, else None."""
    table = _table(plain_text(path), {"name": str} | {f"number {i}": np.float32 for i in range(11)})
    if table is None or table["name"].tolist() != names:
        return None
    values = table.iloc[:, 1:].to_numpy(np.float32)
    return np.ascontiguousarray(values) if np.isfinite(values).all() else None


def _table(text: bytes | None, types: dict[str, type], separator: str = " ") -> "pd.DataFrame | None":
    """Text of that many columns without a header, or None where anything is not plainly so: it is then read by line."""
    if text is None:
        return None
    import pandas as pd  # only these files need it, and it takes longer to load than a small benchmark takes

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a line that is too long is only warned of
            return pd.read_csv(
                io.BytesIO(text), sep=separator, header=None, names=list(types), dtype=types, index_col=False,
                keep_default_na=False, quoting=csv.QUOTE_NONE, skip_blank_lines=False,
            )  # fmt: skip
    except (ValueError, OverflowError, Warning):  # UnicodeDecodeError and pandas' ParserError are ValueErrors
        return None


def _points_line_by_line(path: Path, names: list[str], names_path: Path) -> np.ndarray:
    rows: list[list[str]] = []
    for line, text in enumerate(text_lines(path), 1):
        words = words_of(text)
        if len(words) != 12:
            raise BctError(f"{path}, line {line}: has {len(words)} fields, expected 12 (name x1 y1 ... x5 y5 score)")
        if line > len(names):
            raise BctError(f"{path}, line {line}: is beyond the {len(names)} images of {names_path.name}")
        if words[0] != names[line - 1]:
            raise BctError(f"{path}, line {line}: is of {words[0]}, but {names_path.name} has {names[line - 1]} there")
        rows.append(words[1:])
    if len(rows) < len(names):
        raise BctError(f"{path} ends after line {len(rows)}: expected the {len(names)} images of {names_path.name}")
    try:
        values = np.array(rows, dtype=np.float32)
    except ValueError:
        values = None
    if values is None or not np.isfinite(values).all():
        line, word = next((i, w) for i, words in enumerate(rows, 1) for w in words if not _is_finite(w))
        raise BctError(f"{path}, line {line}: {word!r} is no finite number, expected coordinates and a score")
    return values


def _is_finite(word: str) -> bool:
    try:
        return bool(np.isfinite(np.float32(word)))
    except ValueError:
        return False


def read_list(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Templates, their subjects, and the first line of each; the file has a line for every image of a template."""
    return _list_at_once(path) or _list_line_by_line(path)


def _list_at_once(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The list, if every line has the header's number of fields and begins with two plain numbers, else None."""
    header, _, body = (plain_text(path) or b"").partition(b"\n")
    columns = header.count(b",") + 1
    whole = body.count(b",") == (columns - 1) * (body.count(b"\n") + (not body.endswith(b"\n")))
    if columns < 2 or header[:1].isdigit() or not whole:  # too short a line would only be filled up
        return None
    numbers = {"template": np.int32, "subject": np.int32}
    table = _table(body, numbers | {f"column {i}": str for i in range(2, columns)}, ",")
    if table is None or (table[list(numbers)] < 0).any(axis=None):
        return None
    template, subject = (table[name].to_numpy() for name in numbers)
    _, first, inverse = np.unique(template, return_index=True, return_inverse=True)
    if (subject != subject[first[inverse]]).any():
        return None
    first = np.sort(first)
    return template[first], subject[first], first + 2


def _list_line_by_line(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found: dict[int, tuple[int, int]] = {}
    reader = csv.reader(rows_of_text(path), strict=True)
    try:
        header = next(reader, [])
        if len(header) < 2 or header[0].strip().isdigit():
            raise BctError(f"{path}, line 1: expected a header with a template and a subject column")
        for cells in reader:
            line = reader.line_num
            if len(cells) != len(header):
                raise BctError(f"{path}, line {line}: has {len(cells)} fields, its header has {len(header)}")
            template, subject = _whole(cells[0], "template", path, line), _whole(cells[1], "subject", path, line)
            known = found.setdefault(template, (subject, line))
            if known[0] != subject:
                raise BctError(
                    f"{path}, line {line}: template {template} is of subject {subject}, "
                    f"but of subject {known[0]} on line {known[1]}"
                )
    except csv.Error as error:
        raise BctError(f"{path}, line {reader.line_num}: is not CSV ({error})") from None
    if not found:
        raise BctError(f"{path} lists no template: expected a line for each image after the header")
    subjects, lines = np.array(list(found.values()), np.int32).T
    return np.array(list(found), np.int32), np.ascontiguousarray(subjects), lines


def _whole(text: str, name: str, path: Path, line: int) -> int:
    if not (text.isascii() and text.strip().isdigit() and len(text.strip()) < 11 and int(text) < 2**31):
        raise BctError(f"{path}, line {line}: the {name} is {text!r}, expected an integer from 0 on")
    return int(text)


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
