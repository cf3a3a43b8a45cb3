"""Every reader of a text file that people hand over, with a valid file and what it gives, as plain Python values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ijbc_fixture import market_names, write_ijbc
from real_layouts import write_imdb_csv
from tiny import row

from bctlib.data.glyphs import IDENTITIES, _read_characters
from bctlib.data.paper.ijbc import FILES
from bctlib.data.paper.ijbc_text import read_images, read_integer_lines, read_list, read_points
from bctlib.data.paper.imdb_face import read_rows
from bctlib.data.paper.market1501 import labels_of_names, read_names
from bctlib.data.photos.class_names import read_class_map, read_class_names, read_row_classes
from bctlib.data.photos.index import index_list
from bctlib.upgrade.evaluate.inputs import read_identities, read_pairs
from bctlib.upgrade.images import images_to_embed
from bctlib.upgrade.report.inputs import _read_images
from companion.results import load_rows, results_file, save_rows
from dev.glyphs import fonts
from dev.glyphs.blocks import FIRST, Block
from dev.glyphs.build import _write_identities

Reader = tuple[Path, Callable[[Path], Any]]


def text_readers(folder: Path) -> dict[str, Reader]:
    """(a valid file, its reader) by name. BCT_STORE and BCT_RESULTS must lie in folders of the test."""
    (folder / "a").mkdir()
    for name in ("a/b.jpg", "a/c d.jpg"):
        (folder / name).write_bytes(b"\xff\xd8picture\xff\xd9")
    small = {
        "identities": ("anna\nbert\n0900\n", lambda path: read_identities("ids", path)[0].tolist()),
        "pairs": ("0 1 1\n3 4 0\n", lambda path: _lists(read_pairs(path, 4, 5)[:3])),
        "integers": ("0 1 1\n3 4 0\n", lambda path: _lists(read_integer_lines(path, ("a", "b", "c")))),
        "class names": ("anna\nbert\n", lambda path: read_class_names(path, 2, "x")),
        "classes of rows": ("anna\nbert\n", lambda path: read_row_classes(path, 2, "x")),
        "class map": ("old new\nbert bertha\n", read_class_map),
        "images to embed": ("a/b.jpg anna\na/c d.jpg bert\n", lambda path: _listed(images_to_embed(path))),
        "image index": ("a/b.jpg anna\na/c d.jpg bert\n", lambda path: index_list(path, again=True).version),
        "thumbnails": ("a/b.jpg\na/c d.jpg\n", lambda path: _read_images("images", path, 2)),
        "Market-1501": ("\n".join(market_names()[0]), lambda path: _lists(labels_of_names(read_names(path)))),
    }
    readers: dict[str, Reader] = {}
    for name, (text, read) in small.items():
        path = folder / f"{name}.txt"
        path.write_text(text, encoding="utf-8")
        readers[name] = path, read
    write_ijbc(folder / "meta", n_subjects=4)
    files = {key: folder / "meta" / name for key, name in FILES.items()}
    names = read_images(files["images"])[0]
    readers["IJB-C images"] = files["images"], lambda path: _lists(read_images(path))
    readers["IJB-C points"] = files["points"], lambda path: _lists(read_points(path, names, files["images"]))
    readers["IJB-C list"] = files["G1"], lambda path: _lists(read_list(path))
    readers["IMDB-Face"] = write_imdb_csv(folder / "IMDb-Face.csv", 2, 2), lambda path: list(read_rows(path))
    save_rows([row(), row(seed=1)], "smoke", "table1")
    readers["results"] = results_file("smoke", "table1"), lambda _: load_rows("smoke", "table1").to_dict()
    _write_identities(folder / IDENTITIES, [Block("level-1", FIRST.identities[:5], ())])
    readers["glyphs"] = folder / IDENTITIES, lambda path: _read_characters(path.parent, 5)
    (folder / "fonts.csv").write_bytes(b"".join(fonts.CANDIDATES.read_bytes().splitlines(keepends=True)[:6]))
    readers["typefaces"] = folder / "fonts.csv", fonts.read_typefaces
    return readers


READERS = (
    "identities", "pairs", "integers", "class names", "classes of rows", "class map", "images to embed", "image index",
    "thumbnails", "Market-1501", "IJB-C images", "IJB-C points", "IJB-C list", "IMDB-Face", "results", "glyphs",
    "typefaces",
)  # fmt: skip


def _lists(columns) -> list[list]:
    return [np.asarray(column).tolist() for column in columns]


def _listed(images) -> tuple:
    return list(images.paths), images.labels
