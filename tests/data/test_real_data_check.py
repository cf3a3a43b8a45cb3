"""`data check`: each damage is found with its file (and line), the whole is usable, nothing is a traceback."""

import shutil

import pytest
from real_layouts import save_picture, truncate, write_identity_folders, write_ijbc, write_imdb_csv, write_market1501

from bctlib.base.errors import UsageError
from bctlib.data.paper import check
from bctlib.data.paper.check import CheckReport
from bctlib.data.paper.layouts import find_data, training_faces
from companion.launcher import main


@pytest.fixture
def root(tmp_path, store_folder):
    """All three data sets, whole."""
    write_identity_folders(tmp_path / "data" / "imdb-face")
    write_ijbc(tmp_path / "data" / "ijbc")
    write_market1501(tmp_path / "data" / "Market-1501-v15.09.15")
    return tmp_path / "data"


def checked(capsys, root, *words) -> tuple[int, str]:
    status = check.main([*words, "--root", str(root), "--workers", "0"])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return status, captured.out


def test_whole_data_are_usable(root, capsys):
    status, out = checked(capsys, root)
    assert status == 0 and out.count("=> usable") == 3 and out.count("images/s") == 3
    assert "12 images of 4 identities" in out and "16 of 16 images whole" in out
    assert "2 of them junk (-1), left out, and 2 distractors (0), kept" in out
    assert "is not the whole published IJB-C" in out and "the published query has 3,368 images" in out


def test_the_folder_of_one_data_set_may_be_given_itself(root, capsys):
    for name, title in (("imdb-face", "IMDB-Face"), ("ijbc", "IJB-C"), ("Market-1501-v15.09.15", "Market-1501")):
        status, out = checked(capsys, root / name)
        assert status == 0 and out.startswith(title) and out.count("=>") == 1


def test_what_is_missing_is_said_with_how_to_arrange_and_obtain_it(tmp_path, store_folder, capsys):
    status, out = checked(capsys, tmp_path)
    assert status == 1 and out.count("missing  ") == 3 and out.count("obtain") == 3
    for words in ("links are dead", "no longer distributed", "host that the authors named is dead", "loose_crop/1.jpg"):
        assert words in out
    status, out = checked(capsys, tmp_path / "nowhere", "ijbc")
    assert status == 1 and "nowhere is no folder" in out and out.count("missing  ") == 1


def _append(path, text):
    path.write_text(path.read_text() + text)


def _replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("imdb-face", lambda d: truncate(d / "nm0000001/rm2.jpg"), "nm0000001/rm2.jpg: is a truncated image"),
        ("imdb-face", lambda d: (d / "nm0000001/rm2.jpg").write_bytes(b""), "nm0000001/rm2.jpg: is empty (0 bytes)"),
        (
            "imdb-face", lambda d: (d / "nm0000001/rm9.jpg").symlink_to(d / "gone.jpg"),
            "missing  {}/nm0000001/rm9.jpg: no such image file",
        ),
        (
            "imdb-face", lambda d: (d / "IMDb-Face.csv").write_text("name,index,image,rect,height width,url\na,b\n"),
            "IMDb-Face.csv, line 2: has 2 fields, expected 6",
        ),
        ("ijbc", lambda d: truncate(d / "loose_crop/5.jpg"), "loose_crop/5.jpg: is a truncated image"),
        (
            "ijbc", lambda d: [truncate(d / f"loose_crop/{i}.jpg") for i in (5, 6)],
            "damaged  template 12 of {}/meta is left without images",
        ),
        ("ijbc", lambda d: (d / "loose_crop/5.jpg").unlink(), "missing  {}/loose_crop/5.jpg: no such image file"),
        (
            "ijbc", lambda d: _replace(d / "meta/ijbc_name_5pts_score.txt", " 0.9\n", "\n"),
            "ijbc_name_5pts_score.txt, line 1: has 11 fields, expected 12",
        ),
        (
            "ijbc", lambda d: _append(d / "meta/ijbc_template_pair_label.txt", "10 99 0\n"),
            "ijbc_template_pair_label.txt, line 17: template 99 ",
        ),
        (
            "ijbc", lambda d: _append(d / "meta/ijbc_1N_probe_mixed.csv", "13,77,x\n"),
            "ijbc_1N_probe_mixed.csv, line 6: template 13 is of subject 77, but of subject 1 on line 3",
        ),
        ("ijbc", lambda d: (d / "meta/ijbc_1N_gallery_G1.csv").unlink(), "{}/meta lacks ijbc_1N_gallery_G1.csv"),
        ("ijbc", lambda d: shutil.rmtree(d / "meta"), "missing  {}/meta"),
        ("ijbc", lambda d: shutil.rmtree(d / "loose_crop"), "missing  {}/loose_crop"),
        (
            "Market-1501-v15.09.15", lambda d: save_picture(d / "query/0042_c1s1_000000_00.jpg", 0),
            "query/0042_c1s1_000000_00.jpg: identity 42 is unknown in bounding_box_test",
        ),
        ("Market-1501-v15.09.15", lambda d: shutil.rmtree(d / "query"), "missing  {}/query, the query images"),
        ("Market-1501-v15.09.15", lambda d: truncate(d / "query/0003_c1s1_000451_03.jpg"), "is a truncated image"),
        (
            "Market-1501-v15.09.15", lambda d: save_picture(d / "bounding_box_train/0000_c1s1_000000_00.jpg", 0),
            "is junk or a distractor, expected an identity from 1",
        ),
    ],
)  # fmt: skip
def test_each_damage_is_found_and_named(root, capsys, name, damage, said):
    damage(root / name)
    status, out = checked(capsys, root / name)
    assert status == 1 and "=> not usable" in out
    assert said.replace("{}", str(root / name)) in out


def test_links_that_go_round_end(root, capsys):
    (root / "imdb-face" / "nm0000001" / "round").symlink_to(root / "imdb-face")
    status, out = checked(capsys, root, "imdb-face")
    assert status == 0 and "12 images of 4 identities" in out


def test_damage_in_the_middle_needs_decoding(root, capsys):
    path = root / "imdb-face" / "nm0000001" / "rm2.jpg"
    content = bytearray(path.read_bytes())
    content[2:200] = bytes(198)
    path.write_bytes(content)
    assert checked(capsys, root, "imdb-face", "--decode")[0] == 1


def test_the_csv_with_its_pictures(tmp_path, store_folder, capsys):
    folder = tmp_path / "imdb-face"
    csv = write_imdb_csv(folder / "IMDb-Face.csv")
    status, out = checked(capsys, tmp_path, "imdb-face")
    assert status == 1 and "missing  " in out and "images, the pictures that IMDb-Face.csv tells of" in out
    write_identity_folders(folder / "images", n_images=2)
    status, out = checked(capsys, tmp_path, "imdb-face")
    assert status == 0 and "12 rows, 12 different faces of 4" in out
    assert "4 of 12 faces of IMDb-Face.csv have no picture here" in out
    save_picture(folder / "images" / "nm0000099" / "rm0.jpg", 0)
    _append(csv, "Ann,nm0000001,rm1,1 2 3\n")
    status, out = checked(capsys, tmp_path, "imdb-face")
    assert status == 1
    assert f"{csv}, line 14: has 4 fields, expected 6" in out
    assert "nm0000099: is of an identity that IMDb-Face.csv does not know" in out


def test_faces_are_found_in_each_arrangement(tmp_path, store_folder):
    folder = write_identity_folders(tmp_path / "imdb-face")
    flat = training_faces(folder)[0]
    (folder / "list.txt").write_text("".join(f"{path} {path.split('/')[0]}\n" for path in flat.paths))
    assert training_faces(folder)[0].version == flat.version
    write_identity_folders(folder / "images", n_identities=3)
    assert len(training_faces(folder)[0].classes) == 3
    write_imdb_csv(folder / "IMDb-Face.csv", n_identities=2)
    index, framing = training_faces(folder)
    assert len(index.classes) == 2 and framing.rects.shape == (6, 4)
    write_identity_folders(folder / "aligned", n_identities=1)
    assert len(training_faces(folder)[0].classes) == 1
    assert find_data(tmp_path, "imdb-face") == folder and find_data(tmp_path, "ijbc") is None


def test_many_findings_are_counted_not_listed(capsys):
    report = CheckReport("a set", limit=2)
    for i in range(1500):
        report.damaged(f"file {i}")
    assert not report.close()
    out = capsys.readouterr().out
    assert "file 1\n" in out and "file 2" not in out and "and 1,498 more" in out and "1,500 damaged" in out


def test_the_launcher_passes_the_words_on(root, capsys):
    assert main.main(["data", "check", "ijbc", "--root", str(root), "--workers", "0"]) == 0
    assert "=> usable" in capsys.readouterr().out
    for words, said in (("data", "data takes the word check"), ("data check faces", "unknown data set 'faces'")):
        assert main.main(words.split()) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(UsageError, match="unrecognized arguments: --rot"):
        check.main(["--rot", "x"])
