import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bctlib.base import locations
from bctlib.base.errors import BctError
from bctlib.data.glyphs import load_glyphs
from dev.glyphs import build as builder
from dev.glyphs import choose_typefaces
from dev.glyphs.blocks import BLOCKS, SETS, Block, Identity, blocks_of
from dev.glyphs.choose_typefaces import distances, farthest_point_order
from dev.glyphs.fonts import COLUMNS, Typeface, pick_typefaces, read_typefaces
from dev.glyphs.readme import readme
from dev.glyphs.rendering import render_typeface

pytest.importorskip("fontTools", reason="fontTools (dev group) draws no glyphs here")

# A made-up font: kanji drawn as rectangles (width, height of a 1000-unit em), 娃 like 阿 on purpose, 哀 empty.
# 弌 (level 2) like 亜, 丐 (level 2) like nothing else.
BOXES = {
    "亜": (900, 900),
    "唖": (400, 900),
    "娃": (900, 300),
    "阿": (900, 300),
    "哀": None,
    "愛": (900, 2000),
    "弌": (900, 900),
    "丐": (200, 900),
    "가": (300, 900),
    "각": (900, 500),
}


@pytest.fixture
def box_font(tmp_path):
    """Path of the made-up font inside the unpacked tree of a made-up Debian package `fonts-boxes`."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    names = {character: f"u{ord(character):X}" for character in BOXES}
    build = FontBuilder(1000, isTTF=True)
    build.setupGlyphOrder([".notdef", *names.values()])
    build.setupCharacterMap({ord(character): name for character, name in names.items()})
    glyphs = {}
    for name, box in {".notdef": (500, 500), **{names[c]: box for c, box in BOXES.items()}}.items():
        pen = TTGlyphPen(None)
        if box is not None:
            width, height = box
            for i, point in enumerate([(50, 0), (50, height), (50 + width, height), (50 + width, 0)]):
                (pen.lineTo if i else pen.moveTo)(point)
            pen.closePath()
        glyphs[name] = pen.glyph()
    build.setupGlyf(glyphs)
    build.setupHorizontalMetrics({name: (1000, 50) for name in glyphs})
    build.setupHorizontalHeader(ascent=900, descent=-100)
    build.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    build.setupOS2()
    build.setupPost()
    fonts = tmp_path / "fonts"
    path = fonts / "fonts-boxes/usr/share/fonts/truetype/boxes.ttf"
    doc = fonts / "fonts-boxes/usr/share/doc/fonts-boxes"
    path.parent.mkdir(parents=True)
    doc.mkdir(parents=True)
    build.save(path)
    (doc / "copyright").write_text("License: free\n")
    with gzip.open(doc / "changelog.Debian.gz", "wt") as log:
        log.write("fonts-boxes (1:2.0-3) unstable; urgency=low\n")
    return path


@pytest.fixture
def box_candidates(monkeypatch):
    face = Typeface("boxes", "fonts-boxes", "boxes.ttf", 0, "test", "free", 1, "level-1 level-2", "level-1 level-2")
    monkeypatch.setattr(builder, "pick_typefaces", lambda names, subset: [face])


def _block(name: str, characters: str) -> Block:
    return Block(name, tuple(Identity(character, "") for character in characters), ("亜", "唖"))


def test_glyphs_are_centred_fitted_and_masked(box_font):
    ((levels, present),) = render_typeface(box_font, 0, [_block("level-1", "亜唖娃阿哀愛挨")], 28)
    # 娃 and 阿 share a picture, 哀 is empty, 挨 is not in the character map (its .notdef box is not drawn).
    assert present.tolist() == [True, True, False, False, False, True, False]
    assert levels.dtype == np.uint8 and levels.max() == 15 and not levels[~present].any()
    rows, columns = np.nonzero(levels[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 25, 2, 25)  # 23 pixels, centred within 28
    narrow = np.nonzero(levels[1].any(axis=0))[0]
    assert 10 <= len(narrow) <= 12 and abs(narrow.mean() - 13.5) <= 0.5  # 23 * 400 / 900, centred
    tall_rows, tall_columns = (np.nonzero(levels[5].any(axis=axis))[0] for axis in (1, 0))
    assert 26 <= len(tall_rows) <= 28 and len(tall_columns) < 15  # drawn smaller, with its own proportions


def test_a_picture_that_an_earlier_block_has_is_left_out(box_font):
    one, two = render_typeface(box_font, 0, [_block("level-1", "亜唖"), _block("level-2", "弌丐")], 28)
    assert one[1].tolist() == [True, True]  # the earlier block does not depend on the later one
    assert two[1].tolist() == [False, True] and not two[0][0].any()


def test_file_that_is_no_font_is_named(tmp_path):
    path = tmp_path / "broken.ttf"
    path.write_bytes(b"no font")
    with pytest.raises(BctError, match=r"broken\.ttf is not a font"):
        render_typeface(path, 0, [_block("level-1", "亜")], 28)


def test_build_writes_a_folder_that_loads(box_font, box_candidates, tmp_path, capsys):
    out = tmp_path / "out" / "glyphs"
    builder.build_glyphs(tmp_path / "fonts", out, size=16)
    glyphs = load_glyphs(out)
    assert glyphs.images.shape == (6355, 1, 16, 16) and glyphs.present[:2965].sum() == 3
    assert [glyphs.characters[i] for i in np.flatnonzero(glyphs.present[:, 0])] == ["亜", "唖", "愛", "丐"]
    assert "fonts-boxes,1:2.0-3,boxes.ttf" in (out / "typefaces.csv").read_text()
    assert "License: free" in (out / "LICENSES.txt").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["glyphs"]
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    builder.build_glyphs(tmp_path / "fonts", out, size=16)  # over an earlier build
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert "1/1 boxes: 4 of 6355 characters" in capsys.readouterr().out


def test_the_full_set_has_the_kanji_and_every_hangul_syllable():
    kanji, hangul = blocks_of("full")[:2], blocks_of("full")[2]
    assert kanji == blocks_of("desk") and len(hangul.characters) == len(set(hangul.characters)) == 19 * 21 * 28
    assert (hangul.characters[0], hangul.characters[-1]) == ("가", "힣")
    # The sample has all 19 initials, 21 vowels and 28 finals (27 and none), of which a syllable's number is made.
    number = [ord(character) - 0xAC00 for character in hangul.sample]
    assert (len({n // 588 for n in number}), len({n // 28 % 21 for n in number}), len({n % 28 for n in number})) == (
        19,
        21,
        28,
    )


def test_a_typeface_has_sheets_of_its_blocks_alone(box_font, monkeypatch, tmp_path):
    face = Typeface("korean", "fonts-boxes", "boxes.ttf", 0, "test", "free", None, "", "hangul")
    monkeypatch.setattr(builder, "pick_typefaces", lambda names, subset: [face])
    builder.build_glyphs(tmp_path / "fonts", out := tmp_path / "glyphs-full", "full", size=16)
    glyphs = load_glyphs(out)
    assert glyphs.images.shape == (6355 + 11172, 1, 16, 16)
    assert [glyphs.characters[i] for i in np.flatnonzero(glyphs.present[:, 0])] == ["가", "각"]
    (entry,) = json.loads((out / "manifest.json").read_text())["typefaces"]
    assert entry["sheets"] == [None, None, "korean-hangul.png"]
    assert "| hangul | 11,172 | 1 |" in (out / "README.md").read_text()


def test_interrupted_build_leaves_the_earlier_one(box_font, box_candidates, tmp_path, monkeypatch):
    out = tmp_path / "out" / "glyphs"
    builder.build_glyphs(tmp_path / "fonts", out, size=16)
    before = load_glyphs(out).version

    def interrupt(*_):
        raise KeyboardInterrupt

    for step in ("write_sheet", "_write_licences", "_write_manifest"):
        with monkeypatch.context() as patch:
            patch.setattr(builder, step, interrupt)
            with pytest.raises(KeyboardInterrupt):
                builder.build_glyphs(tmp_path / "fonts", out, size=20)
            with pytest.raises(KeyboardInterrupt):
                builder.build_glyphs(tmp_path / "fonts", tmp_path / "out" / "fresh", size=20)
        assert [path.name for path in out.parent.iterdir()] == ["glyphs"]
    assert load_glyphs(out).version == before


def test_foreign_folder_is_not_overwritten(box_font, box_candidates, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(BctError, match="holds files that are not glyph data"):
        builder.build_glyphs(tmp_path / "fonts", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "half"], 2, "--set: expected desk or full"),
        (["--size", "4"], 2, "--size: expected 8 to 256"),
        (["--typefaces", "helvetica"], 2, "helvetica is not a name in typefaces.csv"),
        (["--typefaces", "ipaex-gothic"], 2, "ipaex-gothic is not in the desk set"),
        (["--typefaces", "train"], 1, "holds neither fonts-train_"),
    ],
)
def test_bad_requests_are_one_sentence(tmp_path, capsys, arguments, code, words):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    assert builder.main(["--fonts", str(tmp_path / "empty"), "--out", str(out), *arguments]) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not out.exists()


def test_missing_font_folder_is_named(tmp_path, capsys):
    assert builder.main(["--fonts", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_candidates_are_ranked_and_the_desk_set_is_the_head():
    faces = read_typefaces()
    ranks = [face.rank for face in faces if face.rank is not None]
    assert ranks == list(range(1, len(ranks) + 1))
    assert [face.rank for face in pick_typefaces(None, "desk")] == list(range(1, 33))
    second = [face for face in faces if BLOCKS["level-2"] in face.blocks("desk")]
    assert len(second) == 19 and all(BLOCKS["level-1"] in face.blocks("desk") for face in second)
    of_block = {name: [face for face in faces if name in face.full.split()] for name in SETS["full"]}
    assert 55 <= len(of_block["level-1"]) <= 70 and of_block["level-1"] == of_block["level-2"]
    assert len(of_block["hangul"]) >= 40 and len({face.style for face in of_block["hangul"]}) >= 8
    assert [face.name for face in pick_typefaces(["klee-regular", "train"], "full")] == ["train", "klee-regular"]
    assert tuple(
        json.loads((locations.PROJECT / "data/glyphs/manifest.json").read_text())["typefaces"][i]["name"]
        for i in range(32)
    ) == tuple(face.name for face in faces[:32])


def test_broken_candidate_list_names_the_line(tmp_path):
    path = tmp_path / "typefaces.csv"
    path.write_text(",".join(COLUMNS) + "\na,b,c,0,d,e,1,level-1,level-1\na2,b,c,zero,d,e,2,level-1,level-1\n")
    with pytest.raises(BctError, match="line 3"):
        read_typefaces(path)
    path.write_text(",".join(COLUMNS) + "\na,b,c,0,d,e,1,level-9,level-1\n")
    with pytest.raises(BctError, match="line 2: .*desk of level-1, level-2"):
        read_typefaces(path)
    path.write_text("name\n")
    with pytest.raises(BctError, match="line 1: expected the columns"):
        read_typefaces(path)


def test_farthest_point_order_by_hand():
    points = np.array([0.0, 1.0, 1.02, 3.0])  # on a line: 1.0 is the most central, then 3.0, then 0.0; 1.02 is a double
    order = farthest_point_order(np.abs(points[:, None] - points[None]), least=0.05)
    assert [i for i, _ in order] == [1, 3, 0]
    assert [gap for _, gap in order] == pytest.approx([0, 2, 1])


def test_distance_is_zero_for_equal_designs_and_ignores_absent_kanji():
    pictures = np.random.default_rng(0).integers(0, 16, (2, 5, 12, 12), dtype=np.uint8)
    pictures[1, :4] = pictures[0, :4]
    present = np.ones((2, 5), bool)
    assert distances(pictures, present)[0, 1] > 0.05
    present[1, 4] = False
    assert distances(pictures, present)[0, 1] == pytest.approx(0, abs=1e-5)


def _font_folder() -> Path | None:
    given = os.environ.get("BCT_FONTS")
    if given:
        return Path(given)
    return Path("/") if Path("/usr/share/doc/fonts-misaki").is_dir() else None


@pytest.mark.parametrize("name", ["misaki-gothic", "kouzan-gyosho"])
def test_rebuilt_typeface_has_the_committed_bytes(tmp_path, name):
    folder = _font_folder()
    if folder is None:
        pytest.skip("no Debian fonts here: set BCT_FONTS to a folder of .deb packages or unpacked trees")
    (face,) = pick_typefaces([name], "desk")
    committed = locations.PROJECT / "data/glyphs"
    row = next(line for line in (committed / "typefaces.csv").read_text().splitlines() if line.startswith(f"{name},"))
    try:
        builder.build_glyphs(folder, tmp_path / "glyphs", names=[face.name])
    except BctError as error:
        pytest.skip(str(error))
    if row not in (tmp_path / "glyphs/typefaces.csv").read_text():
        pytest.skip(f"{face.package} is here in another version than the committed sheets were drawn with")
    for sheet in (f"{name}.png", f"{name}-level-2.png"):
        assert (tmp_path / "glyphs" / sheet).read_bytes() == (committed / sheet).read_bytes()


def test_the_committed_readme_is_what_a_build_writes():
    folder = locations.PROJECT / "data/glyphs"
    manifest = json.loads((folder / "manifest.json").read_bytes())
    faces = pick_typefaces(None, manifest["set"])
    assert (folder / "README.md").read_text(encoding="utf-8") == readme(manifest["set"], manifest["size"], faces)


def test_both_commands_explain_themselves_and_refuse_a_missing_folder(tmp_path, capsys):
    for command in (builder.main, choose_typefaces.main):
        with pytest.raises(SystemExit, match="0"):
            command(["--help"])
        assert "--fonts" in capsys.readouterr().out
        assert command(["--fonts", str(tmp_path / "none")]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
