"""The text files of IJB-C's meta/, one reader each: images, their landmarks, and the lists of galleries and probes.

pandas reads a file in which nothing is wrong; any other is read again line by line, and the fault is named.
"""

import csv
import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from bctlib.base.text_lines import plain_text, rows_of_text, text_lines, words_of
from bctlib.base.errors import BctError


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


def _table(text: bytes | None, types: dict[str, type], separator: str = " ") -> pd.DataFrame | None:
    """Text of that many columns without a header, or None where anything is not plainly so: it is then read by line."""
    if text is None:
        return None
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
