"""The cases of test_fuzz_parsers.py: for each parser its inputs, and how one is put where the parser finds it."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import safetensors.torch
import torch
from fuzzing import TOKENS, VALUES, array_files, as_json, damaged, damaged_document
from hypothesis import strategies as st
from ijbc_fixture import market_names, write_ijbc
from real_layouts import write_imdb_csv
from tiny import row, tiny_recipe

from bctlib.base.files import digest_of, seal
from bctlib.base.locations import notebooks_dir
from bctlib.data.glyphs import IDENTITIES, MANIFEST, load_glyphs
from bctlib.data.paper.ijbc import FILES, read_ijbc_meta
from bctlib.data.paper.imdb_face import read_face_table
from bctlib.data.paper.market1501 import labels_of_names, read_names
from bctlib.data.photos.class_names import read_class_map, read_class_names, read_row_classes
from bctlib.data.photos.index import index_list
from bctlib.training.artefact import load_artefact, save_artefact
from bctlib.training.recipe import Recipe
from bctlib.upgrade.evaluate.inputs import faults_named, open_features, read_identities, read_market_labels, read_pairs
from bctlib.upgrade.images import images_to_embed
from bctlib.upgrade.train.plain_weights import read_classifier, read_weights
from companion.launcher.command_line import COMMANDS, PASSED_ON, parse, parse_value, read_defaults
from companion.launcher.targets import TARGETS
from companion.results import load_rows, results_file, save_rows
from dev.glyphs import fonts
from dev.glyphs.blocks import FIRST, Block
from dev.glyphs.build import _write_identities, _write_manifest, block_entry
from dev.glyphs.rendering import write_sheet


@dataclass(frozen=True)
class Case:
    """inputs: what to try; parse: puts an input where the parser finds it and calls it. valid: must be understood."""

    inputs: st.SearchStrategy
    parse: Callable[[Any], object]
    valid: Any


def of_files(path: Path, read: Callable[[Path], object], *valid: bytes, more: st.SearchStrategy | None = None) -> Case:
    """A parser of one file."""
    inputs = damaged(*valid) if more is None else st.one_of(damaged(*valid), more)
    return Case(inputs, lambda content: (path.write_bytes(content), read(path)), valid[0])


def saved(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


class Bomb:
    """Whoever unpickles it makes a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "exploded"),)


def bombs(folder: Path) -> st.SearchStrategy[bytes]:
    """Pickles of it, plain and in a .npy file."""
    plain = pickle.dumps(Bomb(folder))
    return st.one_of(damaged(plain, saved(np.array([Bomb(folder)] * 2), allow_pickle=True)), st.just(plain))


def recipe(folder: Path) -> Case:
    document = json.loads(tiny_recipe(options={"lam": 1.0}, distortion={"noise": 0.1, "shift": (1, 2)}).text())
    texts = st.one_of(damaged_document(document).map(as_json), damaged(as_json(document)))
    return Case(texts, lambda text: Recipe.from_text(text.decode(errors="replace")).key, as_json(document))


def artefact(folder: Path) -> Case:
    from test_artefact_store import fetched

    made, path = fetched(tiny_recipe(epochs=1)), folder / "model.safetensors"
    save_artefact(path, made)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, tensors = json.loads(content[8 : 8 + size]), content[8 + size :]
    header["__metadata__"]["bctlib"] = json.loads(header["__metadata__"]["bctlib"])
    header["__metadata__"]["bctlib"]["recipe"] = json.loads(header["__metadata__"]["bctlib"]["recipe"])

    def packed(document: Any) -> bytes:
        """The description is JSON in JSON in JSON."""
        document = json.loads(json.dumps(document))
        try:
            about = document["__metadata__"]["bctlib"]
            about["recipe"] = json.dumps(about["recipe"])
            document["__metadata__"]["bctlib"] = json.dumps(about)
        except (TypeError, KeyError):
            pass  # what is damaged more than that stays as it is
        text = as_json(document)
        return len(text).to_bytes(8, "little") + text + tensors

    about = damaged_document(header["__metadata__"]["bctlib"]).map(
        lambda changed: packed(header | {"__metadata__": {"bctlib": changed}})
    )
    inputs = st.one_of(about, about, damaged_document(header).map(packed), damaged(content), bombs(folder))

    def read(content: bytes) -> object:
        seal(path, lambda temporary: temporary.write_bytes(content))  # the seal is not what is tried here
        return load_artefact(path)

    return Case(inputs, read, content)


def weights(folder: Path) -> Case:
    """A state dict by PyTorch's two ways of saving, a safetensors file and an array, as network and as classifier."""
    values = {"module.weight": torch.ones(3, 2), "module.bias": torch.zeros(3)}
    files = {"a.pth": BytesIO(), "b.pt": BytesIO()}
    torch.save(values, files["a.pth"])
    torch.save(values, files["b.pt"], _use_new_zipfile_serialization=False)
    valid = {name: file.getvalue() for name, file in files.items()}
    valid |= {"c.safetensors": safetensors.torch.save(values), "d.npy": saved(np.ones((3, 2), np.float32))}
    more = {"c.safetensors": st.binary(max_size=50), "d.npy": array_files()}

    def read(given: tuple[str, bytes]) -> None:
        (folder / given[0]).write_bytes(given[1])
        read_classifier(folder / given[0])
        if given[0] != "d.npy":
            read_weights(folder / given[0])

    def changed(name: str) -> st.SearchStrategy:
        return st.tuples(st.just(name), st.one_of(damaged(valid[name]), more.get(name, bombs(folder))))

    return Case(st.sampled_from(sorted(valid)).flatmap(changed), read, ("a.pth", valid["a.pth"]))


def notebook(folder: Path) -> Case:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    document = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    source = 'scale = "desk"  # which\nseeds = [0]\nlam = 1.0\nforce = False\nnames = ("a", "b")\nnothing = None'
    document.cells = [nbformat.v4.new_markdown_cell("# title"), nbformat.v4.new_code_cell(source)]
    document.cells[1].metadata["tags"] = ["parameters"]
    documents = st.one_of(damaged_document(document), damaged(source.encode()).map(lambda text: with_source(text)))

    def with_source(text: bytes) -> dict:
        changed = json.loads(json.dumps(document))
        changed["cells"][1]["source"] = text.decode(errors="replace")
        return changed

    return of_files(folder / "toy.ipynb", read_defaults, as_json(document), more=documents.map(as_json))


WORDS = st.one_of(
    st.sampled_from([token.decode(errors="surrogateescape") for token in TOKENS]),
    st.sampled_from(["-" * 5000 + "1", "[" * 200 + "]" * 200, "{[]: 1}", "0,1," * 5000, "99999999999", "{1}", "b'a'"]),
    st.sampled_from([str(value) for value in VALUES]),
    st.text(max_size=20),
)


def parameter(folder: Path) -> Case:
    path = notebooks_dir() / "01_baselines.ipynb"
    defaults = read_defaults(path) | {"names": ("a", "b"), "counts": [], "nothing": None, "share": [0.5]}
    named = st.tuples(st.sampled_from(sorted(defaults)), WORDS)
    return Case(named, lambda pair: parse_value(path, defaults, *pair), ("lam", "0.5"))


def command_line(folder: Path) -> Case:
    options = ["--scale", "--seeds", "--device", "--force", "-p", "--yes", "-h", "--", "--seeds=", "--scale=smoke"]
    names = ["all", *COMMANDS, *PASSED_ON, *(target.name for target in TARGETS)]
    values = ["smoke", "desk", "0,3", "5", "cpu", "cuda:0", "lam", "seeds", "scale", "0.5"]
    word = st.one_of(*map(st.sampled_from, (names, options, values)), WORDS)
    return Case(st.lists(word, max_size=8), parse, ["table1", "--seeds", "3", "-p", "lam", "0.5"])


def identities(folder: Path) -> Case:
    texts = b"7\n-3\n7\n12\n", "anna\nbert\n日本\nanna\n".encode()
    return of_files(folder / "ids.txt", lambda path: read_identities("ids", path), *texts)


def identity_arrays(folder: Path) -> Case:
    valid = saved(np.array([1, 2, 2])), saved(np.array(["a", "b"]))
    more = st.one_of(array_files(), bombs(folder))
    return of_files(folder / "ids.npy", lambda path: read_identities("ids", path), *valid, more=more)


def pairs(folder: Path) -> Case:
    return of_files(folder / "pairs.txt", lambda path: read_pairs(path, 4, 5), b"0 1 1\n3 4 0\n2\t2 0\r\n1 0 1")


def pair_arrays(folder: Path) -> Case:
    valid, more = saved(np.array([[0, 1, 1], [3, 4, 0]])), st.one_of(array_files(), bombs(folder))
    return of_files(folder / "pairs.npy", lambda path: read_pairs(path, 4, 5), valid, more=more)


def market_label_arrays(folder: Path) -> Case:
    valid, more = saved(np.array([[2, 1], [-1, 3], [0, 6]])), st.one_of(array_files(), bombs(folder))
    return of_files(folder / "labels.npy", lambda path: read_market_labels("labels", path), valid, more=more)


def market_names_file(folder: Path) -> Case:
    text = "\n".join(market_names()[0]).encode()
    return of_files(folder / "names.txt", lambda path: labels_of_names(read_names(path), str(path)), text)


def features(folder: Path) -> Case:
    def read(path: Path) -> object:
        found = open_features("query_features", path)
        with faults_named(found):
            if not np.isfinite(np.asarray(found.array[:3], np.float32)).all():
                raise ValueError("as the measures would")
        return found

    valid = [saved(np.arange(12, dtype=kind).reshape(4, 3)) for kind in (np.float32, np.float16, np.int64)]
    return of_files(folder / "features.npy", read, *valid, more=st.one_of(array_files(), bombs(folder)))


def ijbc_meta(folder: Path) -> Case:
    write_ijbc(folder / "meta", n_subjects=4)
    whole = {name: (folder / "meta" / name).read_bytes() for name in FILES.values()}

    def read(changed: tuple[str, bytes]) -> object:
        for name, content in (whole | dict([changed])).items():
            if (folder / "meta" / name).read_bytes() != content:
                (folder / "meta" / name).write_bytes(content)
        return read_ijbc_meta(folder / "meta")

    inputs = st.sampled_from(sorted(whole)).flatmap(lambda name: st.tuples(st.just(name), damaged(whole[name])))
    return Case(inputs, read, next(iter(whole.items())))


def imdb_face(folder: Path) -> Case:
    def read(path: Path) -> object:
        faults: list[str] = []
        try:
            read_face_table(path, faults)
        finally:
            assert all(isinstance(fault, str) for fault in faults)
        return read_face_table(path)

    return of_files(folder / "IMDb-Face.csv", read, write_imdb_csv(folder / "valid.csv", 2, 2).read_bytes())


def results(folder: Path) -> Case:
    save_rows([row(), row(seed=1, operating_point="", value=float("nan"))], "smoke", "table1")
    path = results_file("smoke", "table1")
    return of_files(path, lambda _: load_rows("smoke", "table1"), path.read_bytes())


def glyph_manifest(folder: Path) -> Case:
    block = Block("level-1", FIRST.identities[:5], ())
    levels = np.random.default_rng(0).integers(0, 16, (2, 5, 8, 8), dtype=np.uint8)
    for name, pictures in zip("ab", levels, strict=True):
        write_sheet(folder / f"{name}.png", pictures, block_entry(block)["columns"])
    _write_identities(folder / IDENTITIES, [block])
    missing = {"a": "", "b": block.characters[1]}
    entries = [{"name": name, "sheets": [f"{name}.png"], "missing": text} for name, text in missing.items()]
    _write_manifest(folder, "desk", 8, [block_entry(block)], entries)
    manifest, names = json.loads((folder / MANIFEST).read_bytes()), (folder / IDENTITIES).read_bytes()

    def read(given: tuple[bytes, bytes | None]) -> object:
        content, identities = given
        (folder / IDENTITIES).write_bytes(names if identities is None else identities)
        (folder / MANIFEST).write_bytes(content)
        if identities is not None:  # past the digest
            listed = {"bytes": len(identities), "sha256": digest_of(folder / IDENTITIES)}
            (folder / MANIFEST).write_bytes(as_json(manifest | {"files": manifest["files"] | {IDENTITIES: listed}}))
        return load_glyphs(folder)

    changed = st.one_of(damaged_document(manifest).map(as_json), damaged(as_json(manifest)))
    inputs = st.one_of(st.tuples(changed, st.none()), st.tuples(st.just(b""), damaged(names)))
    return Case(inputs, read, (as_json(manifest), None))


def typeface_list(folder: Path) -> Case:
    text = b"".join(fonts.CANDIDATES.read_bytes().splitlines(keepends=True)[:6])
    return of_files(folder / "fonts.csv", fonts.read_typefaces, text)


def image_list(folder: Path) -> Case:
    (folder / "a b.jpg").write_bytes(b"")
    return of_files(folder / "list.txt", lambda path: index_list(path, again=True), b"a b.jpg anna\n./a b.jpg 7\n")


def class_lists(folder: Path) -> Case:
    (folder / "a").mkdir()
    (folder / "a" / "b.jpg").write_bytes(b"")
    readers = (
        lambda path: read_class_names(path, 2, "old.npy"), lambda path: read_row_classes(path, 2, "old.npy"),
        read_class_map, images_to_embed,
    )  # fmt: skip
    texts = b"anna\nbert\n", b"a/b.jpg\na/b.jpg\n", b"old\tnew\nbert bertha\n", b"a/b.jpg anna\n"
    path = folder / "classes.txt"

    def read(given: tuple[int, bytes]) -> object:
        path.write_bytes(given[1])
        return readers[given[0]](path)

    return Case(st.tuples(st.integers(0, 3), damaged(*texts)), read, (0, texts[0]))


PARSERS: dict[str, Callable[[Path], Case]] = {
    case.__name__: case
    for case in (
        recipe, artefact, weights, notebook, parameter, command_line, identities, identity_arrays, pairs, pair_arrays,
        market_label_arrays, market_names_file, features, ijbc_meta, imdb_face, results, glyph_manifest, typeface_list,
        image_list, class_lists,
    )
}  # fmt: skip
