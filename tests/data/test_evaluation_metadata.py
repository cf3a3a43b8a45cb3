"""Readers of IJB-C's metadata and of Market-1501's names, on generated files of the same layout."""

import os

import numpy as np
import pytest
from ijbc_fixture import market_arrays, market_names, write_ijbc

from bctlib.base.errors import BctError
from bctlib.data.paper import ijbc, ijbc_text, market1501
from bctlib.data.paper.ijbc import read_ijbc_meta
from bctlib.data.paper.ijbc_text import read_integer_lines, read_list
from bctlib.data.paper.market1501 import labels_of_names, names_in_folder


@pytest.fixture
def meta(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    return tmp_path / "meta", write_ijbc(tmp_path / "meta")


def test_everything_is_read_as_written_and_again_from_the_cache(meta, monkeypatch):
    folder, truth = meta
    for fresh in (True, False):
        if not fresh:
            monkeypatch.setattr(ijbc, "_parse", lambda paths: pytest.fail("parsed again"))
        found = read_ijbc_meta(folder)
        ids = found.template_id
        assert (np.diff(ids) > 0).all()
        assert found.image_name.tolist() == truth["names"]
        assert (ids[found.image_template] == truth["template_id"][truth["image_template"]]).all()
        assert (found.image_medium == truth["image_medium"]).all()
        assert np.allclose(found.landmarks.reshape(-1, 10), truth["points"], atol=1e-4)
        assert np.allclose(found.detector_score, truth["score"])
        assert (ids[found.pair_first] == truth["template_id"][truth["first"]]).all()
        assert (ids[found.pair_second] == truth["template_id"][truth["second"]]).all()
        assert (found.pair_genuine == truth["label"]).all()
        for name, templates in (*truth["galleries"].items(), ("probes", truth["probes"])):
            assert (ids[found.lists[name][0]] == truth["template_id"][templates]).all()
            assert (found.lists[name][1] == truth["template_subject"][templates]).all()
        assert "432 pairs (15,658,489)" in found.differs_from_published()


def test_lists_with_other_blanks_are_read_too(meta):
    folder, truth = meta
    for name in ("name_5pts_score.txt", "face_tid_mid.txt", "template_pair_label.txt"):
        path = folder / f"ijbc_{name}"
        path.write_bytes(path.read_bytes().replace(b" ", b"\t").replace(b"\n", b"\r\n"))
    found = read_ijbc_meta(folder)
    assert np.allclose(found.landmarks.reshape(-1, 10), truth["points"], atol=1e-4)
    assert found.image_name.tolist() == truth["names"] and (found.pair_genuine == truth["label"]).all()


def test_an_edited_source_or_a_damaged_cache_is_parsed_anew(meta):
    folder, _ = meta
    before = read_ijbc_meta(folder)
    (cache,) = (folder.parent / "store" / "parsed").glob("*.npz")
    raw = bytearray(cache.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    cache.write_bytes(raw)
    assert (read_ijbc_meta(folder).pair_first == before.pair_first).all()
    scores = folder / "ijbc_name_5pts_score.txt"
    lines = scores.read_text().splitlines()
    lines[0] = lines[0].rsplit(" ", 1)[0] + " 0.25"
    scores.write_text("\n".join(lines) + "\n")
    os.utime(scores, ns=(1, 1))
    assert read_ijbc_meta(folder).detector_score[0] == 0.25


def test_a_read_only_store_is_done_without(meta, monkeypatch):
    folder, _ = meta
    monkeypatch.setenv("BCT_STORE", "/proc/nowhere")
    assert read_ijbc_meta(folder).counts["pairs"] == 432


def damage(folder, name, line, text):
    path = folder / f"ijbc_{name}"
    lines = path.read_text().splitlines()
    if text is None:
        del lines[line - 1 :]
    else:
        lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("name", "line", "text", "said"),
    [
        ("face_tid_mid.txt", 5, "5.jpg 12", "face_tid_mid.txt, line 5: has 2 fields, expected 3"),
        ("face_tid_mid.txt", 5, "5.jpg x 12", "face_tid_mid.txt, line 5: the template is 'x'"),
        ("face_tid_mid.txt", 5, "5.jpg 1 -2", "face_tid_mid.txt, line 5: the medium is '-2'"),
        ("face_tid_mid.txt", 1, None, "face_tid_mid.txt, line 1: has 0 fields"),
        ("name_5pts_score.txt", 3, "3.jpg 1 2 3", "name_5pts_score.txt, line 3: has 4 fields, expected 12"),
        ("name_5pts_score.txt", 3, "4.jpg" + " 1" * 11, "line 3: is of 4.jpg, but ijbc_face_tid_mid.txt has 3.jpg"),
        ("name_5pts_score.txt", 3, "3.jpg" + " 1" * 10 + " high", "line 3: 'high' is no finite number"),
        ("name_5pts_score.txt", 3, "3.jpg" + " 1" * 10 + " nan", "line 3: 'nan' is no finite number"),
        ("name_5pts_score.txt", 3, "3.jpg" + " 1" * 12, "name_5pts_score.txt, line 3: has 13 fields, expected 12"),
        ("name_5pts_score.txt", 1, "1.jpg" + " 1" * 12, "name_5pts_score.txt, line 1: has 13 fields, expected 12"),
        ("name_5pts_score.txt", 3, "", "name_5pts_score.txt, line 3: has 0 fields, expected 12"),
        ("name_5pts_score.txt", 9, None, "name_5pts_score.txt ends after line 8"),
        ("template_pair_label.txt", 7, "1 2", "template_pair_label.txt, line 7: has 2 fields, expected 3"),
        ("template_pair_label.txt", 7, "1 2 0 4", "template_pair_label.txt, line 7: has 4 fields, expected 3"),
        ("template_pair_label.txt", 7, "1 two 0", "line 7: template is 'two', expected an integer"),
        ("template_pair_label.txt", 7, "1 2 -1", "line 7: label is '-1', expected an integer"),
        ("template_pair_label.txt", 7, "9999999 2 0", "line 7: template 9999999 has no image"),
        ("1N_gallery_G1.csv", 1, "12,13,a.jpg", "1N_gallery_G1.csv, line 1: expected a header"),
        ("1N_gallery_G1.csv", 2, "12,13", "1N_gallery_G1.csv, line 2: has 2 fields, its header has 3"),
        ("1N_gallery_G2.csv", 2, "9999999,13,a", "1N_gallery_G2.csv, line 2: template 9999999 has no image"),
        ("1N_probe_mixed.csv", 3, "x,13,a", "1N_probe_mixed.csv, line 3: the template is 'x'"),
        ("1N_probe_mixed.csv", 2, f"{10**20},13,a", f"1N_probe_mixed.csv, line 2: the template is '{10**20}'"),
        ("1N_probe_mixed.csv", 2, None, "1N_probe_mixed.csv lists no template"),
    ],
)
def test_a_damaged_line_is_named(meta, name, line, text, said):
    damage(meta[0], name, line, text)
    with pytest.raises(BctError) as error:
        read_ijbc_meta(meta[0])
    assert said in str(error.value) and "\n" not in str(error.value)


def test_faults_between_files_are_named(meta):
    folder, truth = meta
    first, second, _ = (folder / "ijbc_template_pair_label.txt").read_text().split("\n", 1)[0].split()
    damage(folder, "template_pair_label.txt", 4, f"{first} {second} 2")
    with pytest.raises(BctError, match="line 4: the label is 2, expected 0 or 1"):
        read_ijbc_meta(folder)
    pairs = folder / "ijbc_template_pair_label.txt"
    pairs.write_text(f"{first} {second} 0\n" * 3)
    with pytest.raises(BctError, match="has 0 genuine pairs of 3: expected labels 0 and 1"):
        read_ijbc_meta(folder)
    write_ijbc(folder)
    damage(folder, "face_tid_mid.txt", 1, "1.jpg 2000000000 3")
    with pytest.raises(BctError, match="has a template 2000000000"):
        read_ijbc_meta(folder)
    write_ijbc(folder)
    probe = truth["template_id"][truth["probes"][0]]
    probes = folder / "ijbc_1N_probe_mixed.csv"
    lines = [line for line in probes.read_text().splitlines() if not line.startswith(f"{probe},")]
    probes.write_text("\n".join([*lines, f"{probe},98765,a.jpg"]) + "\n")
    with pytest.raises(BctError, match=f"line {len(lines) + 1}: subject 98765 is in neither"):
        read_ijbc_meta(folder)
    probes.write_text("\n".join([*lines, f"{probe},98765,a.jpg", f"{probe},98766,a.jpg"]) + "\n")
    with pytest.raises(BctError, match=f"template {probe} is of subject 98766, but of subject 98765 on line"):
        read_ijbc_meta(folder)
    probes.unlink()
    with pytest.raises(BctError, match="lacks ijbc_1N_probe_mixed.csv"):
        read_ijbc_meta(folder)


@pytest.mark.parametrize("chunk", [16, 100, 1 << 22])
@pytest.mark.parametrize("style", ["plain", "no last newline", "tabs", "crlf"])
def test_integers_are_read_whatever_the_chunks_and_blanks(tmp_path, monkeypatch, chunk, style):
    monkeypatch.setattr(ijbc_text, "CHUNK_BYTES", chunk)
    rng = np.random.default_rng(chunk)
    values = rng.integers(0, 10 ** rng.integers(1, 9, (200, 3)))
    text = "\n".join(" ".join(map(str, row)) for row in values) + "\n"
    text = {"no last newline": text[:-1], "tabs": text.replace(" ", "\t"), "crlf": text.replace("\n", "\r\n")}.get(
        style, text
    )
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode())
    columns = read_integer_lines(path, ("a", "b", "c"))
    assert all(column.dtype == np.int32 for column in columns)
    assert np.array_equal(np.stack(columns, axis=1), values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("1 2 3\n\n1 2 3\n", "line 2: has 0 fields"), ("1 2 3\n1 2\n3 4 5 6\n", "line 2: has 2 fields"),
        ("1 2 3\n1 2 3000000000\n", "line 2: c is '3000000000'"), ("1 2 3\n1 2 3.0\n", "line 2: c is '3.0'"),
    ],
)  # fmt: skip
def test_lines_that_are_no_integers_are_named(tmp_path, text, said):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(BctError) as error:
        read_integer_lines(path, ("a", "b", "c"))
    assert said in str(error.value)
    with pytest.raises(BctError, match="cannot read"):
        read_integer_lines(tmp_path / "absent.txt", ("a", "b", "c"))


def test_market_names_by_the_basename_only():
    _, gallery = market_names()
    identity, camera = market_arrays(gallery)
    found = labels_of_names(f"/data/12_c3/{name}" for name in gallery)
    assert (found.identity == identity).all() and (found.camera == camera).all()
    assert {-1, 0} <= set(found.identity)


@pytest.mark.parametrize(
    ("name", "identity", "camera"),
    [
        ("0002_c1s1_000451_03.jpg", 2, 1), ("-1_c6s3_000451_03.jpg", -1, 6), ("0001_c2_f0046182.jpg", 1, 2),
        ("0001_c015_00016460_0.jpg", 1, 15), ("0776_c010_1.jpg", 776, 10), ("7_c12s1_1.jpg", 7, 12), ("7_c5.jpg", 7, 5),
    ],
)  # fmt: skip
def test_cameras_have_up_to_three_digits(name, identity, camera):
    assert [column.tolist() for column in labels_of_names([name])] == [[identity], [camera]]


@pytest.mark.parametrize(
    "name",
    ["Thumbs.db", "", "--1_c1s1_0.jpg", "0002_s1_000451_03.jpg", "-2_c1s1_0.jpg", "0002_c1000_0.jpg", "2_c٣s1_0.jpg",
     "1234567890_c1s1_0.jpg", "0002_c_0.jpg", "._0002_c1s1_000451_03.jpg"],
)  # fmt: skip
def test_a_name_without_labels_is_named(name):
    with pytest.raises(BctError, match="list.txt, line 2: "):
        labels_of_names(["0002_c1s1_000451_03.jpg", name], "list.txt")


def test_market_folders(tmp_path):
    with pytest.raises(BctError, match="holds no .jpg"):
        names_in_folder(tmp_path, "query")
    (tmp_path / "query").mkdir()
    for name in ("0003_c2s1_000001_00.jpg", "0002_c1s1_000001_00.jpg", "Thumbs.db"):
        (tmp_path / "query" / name).touch()
        (tmp_path / "query" / f"._{name}").touch()  # as macOS leaves them in copies
    assert names_in_folder(tmp_path, "query") == ["0002_c1s1_000001_00.jpg", "0003_c2s1_000001_00.jpg"]
    assert market1501.PUBLISHED["gallery"] == 19_732


@pytest.mark.parametrize("written", ['{t},{s},"img/{i}.jpg"', " {t},{s},img/{i}.jpg", '{t},{s},"img,{i}.jpg"'])
def test_a_list_that_has_to_be_read_line_by_line_says_the_same(tmp_path, written):
    entries = [(7, 3), (7, 3), (4, 1), (9, 3)]
    answers = []
    for name, form in (("plain", "{t},{s},img/{i}.jpg"), ("other", written)):
        lines = [form.format(t=t, s=s, i=i) for i, (t, s) in enumerate(entries)]
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["TEMPLATE_ID,SUBJECT_ID,FILENAME", *lines]) + "\n")
        answers.append([column.tolist() for column in read_list(path)])
    assert answers[0] == answers[1] == [[7, 4, 9], [3, 1, 3], [2, 4, 5]]
