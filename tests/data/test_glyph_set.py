import json
import shutil

import numpy as np
import pytest

from bctlib.base.errors import BctError
from bctlib.data import glyphs as glyph_set
from bctlib.data.glyphs import load_glyphs, read_sheet
from dev.glyphs.blocks import BLOCKS, Block
from dev.glyphs.build import _write_identities, _write_manifest, block_entry
from dev.glyphs.rendering import write_sheet

SIZE = 8
LARGE, SMALL = (
    Block(name, BLOCKS[name].identities[:n], ()) for name, n in (("level-1", 60), ("level-2", 5))
)  # eight rows and two rows of a sheet
COLUMNS = block_entry(LARGE)["columns"]


@pytest.fixture
def tiny(tmp_path):
    """A glyph folder of two blocks and two typefaces, of which one lacks the small block; and its ink levels."""
    levels = np.random.default_rng(0).integers(0, 16, (2, 65, SIZE, SIZE), dtype=np.uint8)
    levels[1, 7] = levels[0, 62] = levels[1, 60:] = 0
    folder = tmp_path / "glyphs"
    folder.mkdir()
    entries = []
    for name, pictures in zip("ab", levels, strict=True):
        write_sheet(folder / f"{name}.png", pictures[:60], COLUMNS)
    write_sheet(folder / "a-small.png", levels[0, 60:], block_entry(SMALL)["columns"])
    entries.append({"name": "a", "sheets": ["a.png", "a-small.png"], "missing": SMALL.characters[2]})
    entries.append({"name": "b", "sheets": ["b.png", None], "missing": LARGE.characters[7]})
    _write_identities(folder / glyph_set.IDENTITIES, [LARGE, SMALL])
    _write_manifest(folder, "desk", SIZE, [block_entry(LARGE), block_entry(SMALL)], entries)
    return folder, levels


def test_kanji_lists_are_the_standard_ones():
    one, two = BLOCKS["level-1"], BLOCKS["level-2"]
    assert (len(one.identities), len(two.identities)) == (2965, 3390)
    assert len({*one.characters, *two.characters}) == 6355
    first, last = one.identities[0], two.identities[-1]
    assert (first.character, first.code_point, first.row_cell) == ("亜", "U+4E9C", "16-1")
    assert (last.character, last.row_cell) == ("熙", "84-6")
    assert one.sample == two.sample == tuple(one.characters[::25])


def test_sheet_is_four_bit_dark_on_white_and_comes_back(tmp_path):
    levels = np.arange(16, dtype=np.uint8).repeat(16).reshape(4, 8, 8)
    path = tmp_path / "s.png"
    write_sheet(path, levels, columns=3)
    assert path.read_bytes()[24] == 4  # bit depth in the header chunk
    from PIL import Image

    with Image.open(path) as image:
        grey = np.asarray(image.convert("L"))
    assert grey.shape == (16, 24)
    assert grey[0, 0] == 255 and (grey[8:, 8:] == 255).all()  # paper: level 0, and the unused cells
    assert np.array_equal(grey[8:, :8], 255 - 17 * levels[3])  # the fourth glyph starts the second row
    assert np.array_equal(read_sheet(path, 4, 8, 3), levels)


def test_load_gives_ink_255_presence_and_version(tiny):
    folder, levels = tiny
    glyphs = load_glyphs(folder)
    assert glyphs.images.dtype == np.uint8 and glyphs.images.shape == (65, 2, SIZE, SIZE)
    assert np.array_equal(glyphs.images, 17 * levels.swapaxes(0, 1))
    assert glyphs.characters[:2] == ("亜", "唖") and glyphs.typefaces == ("a", "b")
    assert glyphs.present.dtype == bool
    absent = {(7, 1), (62, 0), *((i, 1) for i in range(60, 65))}
    assert set(zip(*np.nonzero(~glyphs.present), strict=True)) == absent
    assert len(glyphs.version) == 12 and int(glyphs.version, 16) >= 0


def test_version_follows_the_content(tiny):
    folder, levels = tiny
    before = load_glyphs(folder).version
    assert load_glyphs(folder).version == before
    write_sheet(folder / "a.png", 15 - levels[0, :60], COLUMNS)
    manifest = json.loads((folder / glyph_set.MANIFEST).read_text())
    (folder / glyph_set.MANIFEST).unlink()
    _write_manifest(folder, "desk", SIZE, manifest["blocks"], manifest["typefaces"])
    assert load_glyphs(folder).version != before


@pytest.mark.parametrize("name", ["a.png", "a-small.png", "b.png", "identities.tsv"])
@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_one_flipped_byte_is_found(tiny, name, place):
    path = tiny[0] / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(BctError, match=name):
        load_glyphs(tiny[0])


@pytest.mark.parametrize("name", ["manifest.json", "a.png", "identities.tsv"])
def test_missing_file_is_named(tiny, name):
    (tiny[0] / name).unlink()
    with pytest.raises(BctError, match=f"{name} is missing"):
        load_glyphs(tiny[0])


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"\n", lambda content: b""])
def test_short_and_long_files_are_named(tiny, change):
    path = tiny[0] / "b.png"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BctError, match=r"b\.png is damaged: expected \d+ bytes"):
        load_glyphs(tiny[0])


def test_cut_manifest_is_named(tiny):
    path = tiny[0] / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BctError, match=r"manifest\.json is not valid JSON"):
        load_glyphs(tiny[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 99),
        ("schema", None),
        ("size", "8"),
        ("typefaces", []),
        ("typefaces", [{}, {}]),
        ("files", {}),
        ("files", {"identities.tsv": {}}),
        ("files", 3),
        ("size", 0),
        ("blocks", []),
        ("blocks", [block_entry(LARGE)]),
        ("blocks", [block_entry(LARGE), block_entry(SMALL) | {"n_identities": 6}]),
        ("blocks", [block_entry(LARGE), block_entry(SMALL) | {"n_identities": 0}]),
        ("blocks", [block_entry(LARGE), block_entry(SMALL) | {"columns": 4}]),
        ("blocks", [block_entry(LARGE), block_entry(SMALL) | {"columns": "3"}]),
        ("typefaces", [{"name": "a", "sheets": ["a.png"], "missing": ""}]),
        ("typefaces", [{"name": "a", "sheets": ["a.png", "elsewhere.png"], "missing": ""}]),
        ("typefaces", [{"name": "a", "sheets": ["a.png", 3], "missing": ""}]),
        ("typefaces", [{"name": "a", "sheets": [None, None], "missing": ""}]),
    ],
)
def test_wrong_manifest_fields_are_one_sentence(tiny, field, value):
    path = tiny[0] / "manifest.json"
    manifest = json.loads(path.read_text()) | {field: value}
    path.write_text(json.dumps(manifest))
    with pytest.raises(BctError):
        load_glyphs(tiny[0])


def test_manifest_that_is_a_list_or_not_text(tiny):
    path = tiny[0] / "manifest.json"
    for content in (b"[]", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(BctError, match=r"manifest\.json"):
            load_glyphs(tiny[0])


def test_default_folder_follows_bct_data(tiny, monkeypatch, tmp_path):
    shutil.copytree(tiny[0], tmp_path / "elsewhere" / "glyphs")
    monkeypatch.setenv("BCT_DATA", str(tmp_path / "elsewhere"))
    assert load_glyphs().typefaces == ("a", "b")


def test_committed_set_is_what_the_documents_say():
    glyphs = load_glyphs()
    assert glyphs.images.shape == (6355, 32, 28, 28)
    assert glyphs.characters == (*BLOCKS["level-1"].characters, *BLOCKS["level-2"].characters)
    one, two = glyphs.present[:2965], glyphs.present[2965:]
    assert one.mean(axis=0).min() >= 0.97
    drawn = two.any(axis=0)
    assert drawn.sum() == 19 and two[:, drawn].mean(axis=0).min() >= 0.97
    assert one.sum(axis=1).min() >= 29 and two.sum(axis=1).min() >= 17
    inked = glyphs.images.any(axis=(2, 3))
    assert np.array_equal(inked, glyphs.present)  # every present glyph has ink, every absent one has none


def test_committed_set_is_small_enough_and_attributed():
    from bctlib.base import locations

    folder = locations.data_dir() / "glyphs"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 26_000_000
    lines = (folder / "typefaces.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 33
    licences = (folder / "LICENSES.txt").read_text(encoding="utf-8")
    for line in lines[1:]:
        name, _, package, version, *_ = line.split(",")
        assert version and f"\n{package}\n" in licences
        assert (folder / f"{name}.png").is_file()


def test_no_two_kanji_share_a_picture_in_the_committed_set():
    glyphs = load_glyphs()
    for face in range(len(glyphs.typefaces)):
        pictures = [picture.tobytes() for picture in glyphs.images[glyphs.present[:, face], face]]
        assert len(set(pictures)) == len(pictures)
