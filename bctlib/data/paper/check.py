"""`./reproduce.sh data check --root DIR`: which of the paper's data sets are present, complete and usable.

Threads open the images one by one: first and last bytes reveal a truncated file; `--decode` decodes every image.
Findings are printed as they occur, up to a number of lines per kind, and then a verdict.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bctlib.base import locations
from bctlib.base.errors import BctError, UsageError
from bctlib.data.paper.ijbc import read_ijbc_meta
from bctlib.data.paper.imdb_face import PUBLISHED_ROWS, PUBLISHED_UNIQUE, FaceTable, read_face_table
from bctlib.data.paper.layouts import CSV_NAME, LAYOUTS, Layout, find_data, training_faces, training_index
from bctlib.data.paper.market1501 import FOLDERS, PUBLISHED, labels_of_names, names_in_folder
from bctlib.data.photos.files import image_faults
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.index import ImageIndex
from bctlib.data.photos.reading import ImageList, reading_speed
from bctlib.data.photos.sets import ImageFilePool, ijbc_pool
from bctlib.data.variants import DISTRACTOR, JUNK

MOST_LINES = 20


@dataclass
class CheckReport:
    """Findings on one data set. limit: lines printed of each kind of finding; the others are counted."""

    title: str
    limit: int = MOST_LINES
    found: Counter = field(default_factory=Counter)

    def __post_init__(self):
        print(self.title)

    def there(self, text: str) -> None:
        self._line("there", text)

    def note(self, text: str) -> None:
        """Worth knowing, but no fault."""
        self._line("note", text)

    def missing(self, text: str) -> None:
        self._line("missing", text)

    def damaged(self, text: str) -> None:
        self._line("damaged", text)

    def _line(self, kind: str, text: str) -> None:
        self.found[kind] += 1
        if self.found[kind] <= self.limit:
            print(f"  {kind:<9}{text}", flush=True)

    @property
    def is_usable(self) -> bool:
        return not (self.found["missing"] or self.found["damaged"])

    def close(self) -> bool:
        """Print what was left out and the verdict; whether the data can be used."""
        for kind, n in self.found.items():
            if n > self.limit:
                print(f"  {kind:<9}... and {n - self.limit:,} more")
        faults = ", ".join(f"{self.found[kind]:,} {kind}" for kind in ("missing", "damaged") if self.found[kind])
        print(f"  {'=> usable' if self.is_usable else f'=> not usable as it is: {faults}'}\n", flush=True)
        return self.is_usable


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(f"data check: {message}; see ./reproduce.sh data check --help")


def check_data(
    root: Path, names: Sequence[str] = tuple(LAYOUTS), decode: bool = False, workers: int | None = None
) -> bool:
    """Check the named data sets below `root`, print what is found, and say whether all of them can be used.

    If root is itself the folder of one of them, only that one is checked. decode: every image, not only its ends.
    """
    if not root.is_dir():
        print(f"{root} is no folder\n")
    elif own := [name for name in names if find_data(root, name) == root]:
        names = own
    usable = [_check_one(root, LAYOUTS[name], decode, workers) for name in names]
    return all(usable)


def _check_one(root: Path, layout: Layout, decode: bool, workers: int | None) -> bool:
    report = CheckReport(layout.title)
    folder = find_data(root, layout.name)
    if folder is None:
        report.missing(f"{root / layout.folders[0]}; expected one of")
    else:
        report.there(str(folder))
        try:
            images = _CHECKS[layout.name](report, folder, decode)
            if report.is_usable and images is not None:
                report.note(reading_speed(images, workers=workers).line())
        except BctError as error:
            report.damaged(str(error))
        except OSError as error:
            report.damaged(f"{error.filename or folder}: cannot be read: {error.strerror}")
    if report.found["missing"]:
        for line in layout.arrangement:
            print(f"           {line}")
        print(f"  obtain   {layout.source}")
    return report.close()


def _check_images(report: CheckReport, root: Path, paths: Iterable[str], n: int, decode: bool) -> np.ndarray:
    """Report each image that is missing or damaged. bool [n]: whether it can be used."""
    good = np.ones(n, bool)
    for position, path, wrong in image_faults(root, paths, decode):
        good[position] = False
        (report.missing if wrong == "no such image file" else report.damaged)(f"{path}: {wrong}")
    how = "all decoded" if decode else "first and last bytes read; --decode reads all"
    report.there(f"{int(good.sum()):,} of {n:,} images whole ({how})")
    return good


def _check_imdb_face(report: CheckReport, folder: Path, decode: bool) -> ImageList | None:
    table = None
    if (folder / CSV_NAME).is_file():
        faults: list[str] = []
        try:
            table = read_face_table(folder / CSV_NAME, faults)
        finally:
            for sentence in faults:
                report.damaged(sentence)
        report.there(f"{CSV_NAME}: {table.n_rows:,} rows, {len(table):,} different faces of {len(set(table.index)):,}")
        if (table.n_rows, len(table)) != (PUBLISHED_ROWS, PUBLISHED_UNIQUE):
            report.note(f"the published CSV has {PUBLISHED_ROWS:,} rows, {PUBLISHED_UNIQUE:,} of them different")
    if table and not any((folder / name).is_dir() for name in ("images", "aligned")):
        report.missing(f"{folder / 'images'}, the pictures that {CSV_NAME} tells of")
        return None
    index, framing = training_faces(folder, table)
    report.there(f"{len(index):,} images of {len(index.classes):,} identities below {index.root}")
    if table:
        _check_against_table(report, table, index)
    _check_images(report, index.root, index.paths, len(index), decode)
    return ImageList(index.root, index.paths, framing)


def _check_against_table(report: CheckReport, table: FaceTable, index: ImageIndex) -> None:
    known = set(table.index) | set(table.name) | {name.replace(" ", "_") for name in table.name}
    for entry in sorted(index.root.iterdir()):
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in known:
            report.damaged(f"{entry}: is of an identity that {CSV_NAME} does not know")
    if len(index) < len(table):
        report.note(f"{len(table) - len(index):,} of {len(table):,} faces of {CSV_NAME} have no picture here")


def _check_ijbc(report: CheckReport, folder: Path, decode: bool) -> ImageList | None:
    meta = None
    if (folder / "meta").is_dir():
        try:
            meta = read_ijbc_meta(folder / "meta")
        except BctError as error:
            (report.missing if " lacks " in str(error) else report.damaged)(str(error))
    else:
        report.missing(f"{folder / 'meta'}, with the lists of templates, pairs and galleries")
    crops = next((folder / name for name in ("aligned", "loose_crop") if (folder / name).is_dir()), None)
    if crops is None:
        report.missing(f"{folder / 'loose_crop'}, the images")
    if meta:
        report.there(", ".join(f"{n:,} {what}" for what, n in meta.counts.items()))
        if different := meta.differs_from_published():
            report.note(different)
    if crops is None:
        return None
    if meta is None:
        names = sorted(path.name for path in crops.iterdir() if path.is_file())
        _check_images(report, crops, names, len(names), decode)
        return None
    pool: ImageFilePool = ijbc_pool(folder, meta.image_name, meta.landmarks)
    good = _check_images(report, pool.root, pool.paths, pool.size, decode)
    left = np.bincount(meta.image_template, good, minlength=len(meta.template_id))
    for template in meta.template_id[left == 0]:
        report.damaged(f"template {template} of {folder / 'meta'} is left without images")
    return ImageList(pool.root, pool.paths, pool.framing)


def _check_market1501(report: CheckReport, folder: Path, decode: bool) -> ImageList | None:
    identities: dict[str, np.ndarray] = {}
    for part, name in FOLDERS.items():
        if not (folder / name).is_dir():
            report.missing(f"{folder / name}, the {part} images")
            continue
        names = names_in_folder(folder, part)
        identity, camera = labels_of_names(names, str(folder / name))
        people = len(np.unique(identity[identity > DISTRACTOR]))
        report.there(f"{name}: {len(names):,} images of {people:,} identities by {len(np.unique(camera))} cameras")
        if len(names) != PUBLISHED[part]:
            report.note(f"the published {name} has {PUBLISHED[part]:,} images")
        if part == "gallery":
            junk, distractors = (int(np.count_nonzero(identity == kind)) for kind in (JUNK, DISTRACTOR))
            report.there(f"{name}: {junk:,} of them junk (-1), left out, and {distractors:,} distractors (0), kept")
        if part == "query" and "gallery" in identities:
            for number in np.setdiff1d(identity, identities["gallery"]):
                first = names[int(np.flatnonzero(identity == number)[0])]
                report.damaged(f"{folder / name / first}: identity {number} is unknown in {FOLDERS['gallery']}")
        identities[part] = identity
        _check_images(report, folder / name, names, len(names), decode)
    if "train" not in identities:
        return None
    index = training_index(folder)  # refuses junk and distractors among the training images
    return ImageList(index.root, index.paths, WholeImage((256, 128)))


_CHECKS = {"imdb-face": _check_imdb_face, "ijbc": _check_ijbc, "market1501": _check_market1501}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all asked for is usable, 1 something is missing or damaged. Raises UsageError (2)."""
    parser = _Parser(
        prog="reproduce.sh data check",
        description="Say what of the paper's data is there, missing or damaged, and how to arrange it.",
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"{', '.join(LAYOUTS)} (default: all)")
    parser.add_argument("--root", type=Path, default=locations.data_dir(), help="folder that holds them (BCT_DATA)")
    parser.add_argument("--decode", action="store_true", help="decode every image: slow, finds damage in the middle")
    parser.add_argument("--workers", type=int, help="processes for the measure of reading speed (default: CPU cores)")
    asked = parser.parse_args(argv)
    for name in asked.sets:
        if name not in LAYOUTS:
            raise UsageError(f"data check: unknown data set {name!r}, expected one of {', '.join(LAYOUTS)}")
    if asked.workers is not None and not 0 <= asked.workers <= 256:
        raise UsageError(f"data check: --workers is {asked.workers}, expected 0 to 256")
    usable = check_data(asked.root.expanduser().resolve(), asked.sets or tuple(LAYOUTS), asked.decode, asked.workers)
    return 0 if usable else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BctError as error:
        print(f"bctlib.data.paper.check: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
