"""IJB-C's metadata as it is usually distributed: images with template and medium, pairs, galleries and probes.

The six text files of `meta/` are joined by the order of their lines, as everybody joins them; here the names must
agree as well, and every identifier must be known where it is used. A fault is named with its file and line.
"""

import csv
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bctlib.data.integer_lines import read_integer_lines
from bctlib.data.parsed_cache import cached_arrays
from bctlib.errors import BctError
from bctlib.files import digest_of

FILES = {
    "images": "ijbc_face_tid_mid.txt",
    "points": "ijbc_name_5pts_score.txt",
    "pairs": "ijbc_template_pair_label.txt",
    "G1": "ijbc_1N_gallery_G1.csv",
    "G2": "ijbc_1N_gallery_G2.csv",
    "probes": "ijbc_1N_probe_mixed.csv",
}
GALLERIES = ("G1", "G2")
LARGEST_ID = 10**8
"""The published ids go up to some 188,000; a damaged one must not cost gigabytes."""
PUBLISHED = {
    "images": 469_375, "templates": 23_124, "pairs": 15_658_489, "genuine pairs": 19_557,
    "G1 templates": 1_772, "G2 templates": 1_759, "probe templates": 19_593,
}  # fmt: skip


@dataclass(frozen=True)
class IjbcMeta:
    """Everything of IJB-C that evaluation from features needs. n images, t templates, p pairs.

    image_name: str [n], in the order of the files, which is the order of the rows of a feature file.
    image_template: int32 [n], positions in template_id. image_medium: int32 [n]. landmarks: float32 [n, 5, 2], pixels
    of the loose crop. detector_score: float32 [n]. template_id: int32 [t], ascending, as in the files.
    pair_first, pair_second: int32 [p], positions in template_id. pair_genuine: bool [p].
    lists: for "G1", "G2", "probes" (templates as positions in template_id, subjects), int32 [k] each, one entry a
    template, in the order of the files. sha256: of each file, by its key in FILES.
    """

    folder: Path
    image_name: np.ndarray
    image_template: np.ndarray
    image_medium: np.ndarray
    landmarks: np.ndarray
    detector_score: np.ndarray
    template_id: np.ndarray
    pair_first: np.ndarray
    pair_second: np.ndarray
    pair_genuine: np.ndarray
    lists: dict[str, tuple[np.ndarray, np.ndarray]]
    sha256: dict[str, str] = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """What was read, under the names of PUBLISHED."""
        sizes = {f"{name} templates": len(self.lists[name][0]) for name in GALLERIES}
        return {
            "images": len(self.image_name), "templates": len(self.template_id), "pairs": len(self.pair_first),
            "genuine pairs": int(np.count_nonzero(self.pair_genuine)), **sizes,
            "probe templates": len(self.lists["probes"][0]),
        }  # fmt: skip

    def differs_from_published(self) -> str:
        """One sentence on the counts that are not those of the published IJB-C; "" where all are."""
        other = [f"{n:,} {name} ({PUBLISHED[name]:,})" for name, n in self.counts.items() if n != PUBLISHED[name]]
        if not other:
            return ""
        return f"{self.folder} is not the whole published IJB-C; it holds (published): {', '.join(other)}"


def read_ijbc_meta(folder: Path | str) -> IjbcMeta:
    """Read and check the six files of `folder`; the second reading of unchanged files comes from a cache.

    Raises BctError naming the file, and where there is one the line, for: a file that is missing; a wrong number of
    fields; a field that is no number; names that differ between the two lists of images; a template without images;
    a label other than 0 and 1; a template with two subjects or media lists of different lengths; a probe whose
    subject is in neither gallery.
    """
    folder = Path(folder)
    paths = {key: folder / name for key, name in FILES.items()}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise BctError(f"{folder} lacks {', '.join(missing)}: expected the meta/ folder of IJB-C's usual distribution")
    arrays, _ = cached_arrays("ijbc", list(paths.values()), lambda: _parse(paths))
    sha256 = dict(zip(FILES, map(str, arrays.pop("sha256")), strict=True))
    lists = {key: (arrays.pop(f"{key}_template"), arrays.pop(f"{key}_subject")) for key in (*GALLERIES, "probes")}
    return IjbcMeta(folder=folder, lists=lists, sha256=sha256, **arrays)


def _parse(paths: dict[str, Path]) -> dict[str, np.ndarray]:
    names, template, medium = _read_images(paths["images"])
    template_id, image_template = np.unique(template, return_inverse=True)
    landmarks, score = _read_points(paths["points"], names, paths["images"])
    position = _Positions(template_id, paths["images"])
    arrays = {
        "image_name": np.array(names), "image_template": image_template.astype(np.int32), "image_medium": medium,
        "landmarks": landmarks, "detector_score": score, "template_id": template_id,
    }  # fmt: skip
    first, second, label = read_integer_lines(paths["pairs"], ("template", "template", "label"))
    if (label > 1).any():
        line = int(np.flatnonzero(label > 1)[0])
        raise BctError(f"{paths['pairs']}, line {line + 1}: the label is {label[line]}, expected 0 or 1")
    if label.all() or not label.any():
        raise BctError(f"{paths['pairs']} has {label.sum()} genuine pairs of {len(label)}: expected labels 0 and 1")
    arrays["pair_first"] = position.of(first, paths["pairs"])
    arrays["pair_second"] = position.of(second, paths["pairs"])
    arrays["pair_genuine"] = label.astype(bool)
    for key in (*GALLERIES, "probes"):
        templates, subjects, lines = _read_list(paths[key])
        arrays[f"{key}_template"] = position.of(templates, paths[key], lines)
        arrays[f"{key}_subject"] = subjects
        if key == "probes":
            _check_mates(paths, subjects, lines, np.concatenate([arrays[f"{g}_subject"] for g in GALLERIES]))
    arrays["sha256"] = np.array([digest_of(path) for path in paths.values()])
    return arrays


class _Positions:
    """From template ids, which have gaps, to positions among the templates that have images."""

    def __init__(self, template_id: np.ndarray, source: Path):
        if template_id[-1] > LARGEST_ID:
            raise BctError(f"{source} has a template {template_id[-1]}: expected ids up to {LARGEST_ID}")
        self.table = np.full(int(template_id[-1]) + 2, -1, np.int32)
        self.table[template_id] = np.arange(len(template_id), dtype=np.int32)
        self.source = source

    def of(self, ids: np.ndarray, path: Path, lines: np.ndarray | None = None) -> np.ndarray:
        """lines: the line of each id, where that is not simply its place."""
        positions = self.table[np.minimum(ids, len(self.table) - 1)]
        if len(positions) and positions.min() < 0:
            bad = int(np.flatnonzero(positions < 0)[0])
            line = bad + 1 if lines is None else lines[bad]
            raise BctError(f"{path}, line {line}: template {ids[bad]} has no image in {self.source.name}")
        return positions


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from enumerate(file, 1)
    except UnicodeDecodeError:
        raise BctError(f"{path} is no text file: expected UTF-8") from None


def _read_images(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    names, numbers = [], []
    for line, text in _lines(path):
        words = text.split()
        if len(words) != 3:
            raise BctError(f"{path}, line {line}: has {len(words)} fields, expected 3 (name template medium)")
        names.append(words[0])
        numbers.append((_whole(words[1], "template", path, line), _whole(words[2], "medium", path, line)))
    if not names:
        raise BctError(f"{path} is empty: expected lines of name, template and medium")
    template, medium = np.array(numbers, np.int32).T
    return names, np.ascontiguousarray(template), np.ascontiguousarray(medium)


def _read_points(path: Path, names: list[str], names_path: Path) -> tuple[np.ndarray, np.ndarray]:
    values = _points_at_once(path, names)
    if values is None:  # some fault, or blanks other than one space
        values = _points_line_by_line(path, names, names_path)
    return values[:, :10].reshape(-1, 5, 2), np.ascontiguousarray(values[:, 10])


def _points_at_once(path: Path, names: list[str]) -> np.ndarray | None:
    """float32 [n, 11] of a file in which nothing is wrong, else None."""
    types = {0: str} | dict.fromkeys(range(1, 12), np.float32)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a line that is too long is only warned of
            table = pd.read_csv(
                path, sep=" ", header=None, names=list(types), dtype=types, index_col=False, keep_default_na=False,
                quoting=csv.QUOTE_NONE, skip_blank_lines=False,
            )  # fmt: skip
    except (ValueError, Warning):  # UnicodeDecodeError and pandas' ParserError are ValueErrors
        return None
    values = table.iloc[:, 1:].to_numpy(np.float32)
    whole = len(table) == len(names) and np.isfinite(values).all() and table[0].tolist() == names
    return np.ascontiguousarray(values) if whole else None


def _points_line_by_line(path: Path, names: list[str], names_path: Path) -> np.ndarray:
    rows: list[list[str]] = []
    for line, text in _lines(path):
        words = text.split()
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


def _read_list(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Templates, their subjects, and the first line of each; the file has a line for every image of a template."""
    found: dict[int, tuple[int, int]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
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
        except UnicodeDecodeError:
            raise BctError(f"{path} is no text file: expected UTF-8") from None
    if not found:
        raise BctError(f"{path} lists no template: expected a line for each image after the header")
    subjects, lines = np.array(list(found.values()), np.int32).T
    return np.array(list(found), np.int32), np.ascontiguousarray(subjects), lines


def _check_mates(paths: dict[str, Path], subjects: np.ndarray, lines: np.ndarray, enrolled: np.ndarray) -> None:
    unknown = ~np.isin(subjects, enrolled)
    if unknown.any():
        bad = int(np.flatnonzero(unknown)[0])
        raise BctError(
            f"{paths['probes']}, line {lines[bad]}: subject {subjects[bad]} is in neither {paths['G1'].name} "
            f"nor {paths['G2'].name}"
        )


def _whole(text: str, name: str, path: Path, line: int) -> int:
    if not (text.strip().isdecimal() and int(text) < 2**31):
        raise BctError(f"{path}, line {line}: the {name} is {text!r}, expected an integer from 0 on")
    return int(text)
