"""`bctlib report` end to end, and the sentence for each bad input."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from pages import blocks
from PIL import Image
from upgrade_features import made_up

from bctlib.base.locations import PROJECT
from bctlib.upgrade.report import command
from bctlib.upgrade.report import page as judgement_page

MADE = made_up(n_classes=30, per_class=4, singles=20)
N = len(MADE["labels"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features, labels and lists of images, good and bad, in one folder."""
    path = tmp_path_factory.mktemp("report")
    for name in ("new", "old", "paragon"):
        np.save(path / f"{name}.npy", MADE[name])
        np.save(path / f"{name}_q.npy", MADE[name][::2])
        np.save(path / f"{name}_g.npy", MADE[name][1::2])
    lines = [f"id{label}\n" for label in MADE["labels"]]
    (path / "labels.txt").write_text("".join(lines))
    (path / "labels_q.txt").write_text("".join(lines[::2]))
    (path / "labels_g.txt").write_text("".join(lines[1::2]))
    np.save(path / "labels.npy", MADE["labels"])
    (path / "short.txt").write_text("".join(lines[:-1]))
    (path / "alone.txt").write_text("".join(f"id{row}\n" for row in range(N)))
    (path / "one.txt").write_text("id\n" * N)
    (path / "strangers.txt").write_text("".join(f"x{row}\n" for row in range(N // 2)))
    (path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    np.save(path / "short.npy", MADE["old"][:-1])
    np.save(path / "wide.npy", np.ones((N, 99), np.float32))
    np.save(path / "wide_q.npy", np.ones((N // 2, 99), np.float32))
    np.save(path / "text.npy", MADE["old"].astype(str))
    np.save(path / "objects.npy", MADE["old"].astype(object), allow_pickle=True)
    (path / "pickle.npy").write_bytes(pickle.dumps(MADE["old"]))
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        bad = MADE["old"].copy()
        bad[17, 3] = value
        np.save(path / f"{name}.npy", bad)
    for row in range(N):
        Image.new("RGB", (12, 8), (row, 0, 0)).save(path / f"{row}.png")
    images = [f"{row}.png\n" for row in range(N)]
    (path / "images.txt").write_text("".join(images))
    (path / "images_short.txt").write_text("".join(images[1:]))
    (path / "images_missing.txt").write_text("".join([*images[:7], "gone.png\n", *images[8:]]))
    (path / "cut.png").write_bytes((path / "0.png").read_bytes()[:40])
    (path / "images_cut.txt").write_text("".join([*images[:7], "cut.png\n", *images[8:]]))
    return path


ONE = "--query-features {f}/new.npy --gallery-features {f}/old.npy "
LABELLED = ONE + "--labels {f}/labels.txt "
TWO = "--query-features {f}/new_q.npy --gallery-features {f}/old_g.npy --old-query-features {f}/old_q.npy "
LISTS = "--query-labels {f}/labels_q.txt --gallery-labels {f}/labels_g.txt "
PARAGON = "--paragon-query-features {f}/paragon_q.npy --paragon-gallery-features {f}/paragon_g.npy "
GALLERY = "--query-features {f}/new.npy --labels {f}/labels.txt --gallery-features {f}/"
FAST = "--resamples 20 --orders 2 "


def words(text, folder):
    return text.format(f=folder).split()


@pytest.mark.parametrize(
    ("options", "points", "ceilings"),
    [
        (LABELLED, ["rank-1", "rank-5", "mAP", "TAR@FAR=0.01"], {"new/new"}),
        (ONE + "--labels {f}/labels.npy --paragon {f}/paragon.npy --far 0.1 --ranks 2 --images {f}/images.txt",
         ["rank-2", "mAP", "TAR@FAR=0.1"], {"new/new", "new*/new*"}),
        (TWO + LISTS + "--new-gallery-features {f}/new_g.npy --fpir 0.2 --far 0.1",
         ["TPIR@FPIR=0.2", "rank-1", "rank-5", "mAP", "TAR@FAR=0.1"], {"new/new"}),
        (TWO + LISTS + PARAGON + "--far 0.1",
         ["rank-1", "rank-5", "mAP", "TAR@FAR=0.1"], {"new*/new*"}),
        (TWO + "--labels {f}/labels_q.txt --far 0.1", ["rank-1", "rank-5", "mAP", "TAR@FAR=0.1"], set()),
    ],
)  # fmt: skip
def test_both_forms_write_a_page_and_its_numbers(folder, tmp_path, capsys, options, points, ceilings):
    assert command.main([*words(options + " " + FAST, folder), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert said.startswith(content["answer"]["headline"]) and "written to" in said
    assert [point["name"] for point in content["points"]] == points
    assert {key for key in content["points"][0] if key.startswith("lost") and "_" not in key.split("/")[-1]} == {
        f"lost_against_{name}" for name in ceilings
    }
    assert all(each["sha256"] for each in content["inputs"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert content["answer"]["headline"] in page
    assert ("data:image/jpeg" in page) == ("--images" in options)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (ONE + "--labels {f}/short.txt", 1, "new.npy has 140 rows: expected 139, one for each label of "),
        (GALLERY + "short.npy", 1, "short.npy has 139 rows: expected 140, one for each label of "),
        (GALLERY + "nan.npy", 1, "nan.npy: row 17 holds NaN, infinite or overflowing values"),
        (GALLERY + "inf.npy", 1, "inf.npy: row 17 holds NaN, infinite or overflowing values"),
        (GALLERY + "wide.npy", 1, "wide.npy of the old model has 99 dimensions, more than the 24 of"),
        (GALLERY + "text.npy", 1, "text.npy holds values of type <U"),
        (GALLERY + "objects.npy", 1, "objects.npy holds pickled objects, which are refused"),
        (GALLERY + "pickle.npy", 1, "pickle.npy is no .npy file (pickles are refused)"),
        (GALLERY + "absent.npy", 1, "absent.npy: No such file"),
        (ONE + "--labels {f}/alone.txt", 1, "alone.txt names no class twice: expected a class with two images"),
        (ONE + "--labels {f}/one.txt", 1, "one.txt names one class only"),
        (ONE + "--labels {f}/binary.txt", 1, "binary.txt is no text file"),
        (ONE + "--labels {f}/absent.txt", 1, "cannot read"),
        (LABELLED + "--images {f}/images_short.txt", 1, "images_short.txt names 139 images: expected 140"),
        (LABELLED + "--images {f}/images_missing.txt", 1, "gone.png: no such image file"),
        (LABELLED + "--images {f}/images_cut.txt", 1, "images_cut.txt, line 8: "),
        (LABELLED + "--images {f}/binary.txt", 1, "binary.txt is no text file: expected the path of an image"),
        (LABELLED + "--images {f}/absent.txt", 1, "cannot read"),
        (LABELLED + "--paragon {f}/short.npy", 1, "short.npy has 139 rows: expected 140"),
        (LABELLED + "--new-gallery-features {f}/new.npy", 2, "new_gallery_features is for two lists of images"),
        (ONE + LISTS, 2, "query_labels is for two lists of images, which need old_query_features"),
        (ONE, 2, "expected either labels, or both query_labels and gallery_labels"),
        (TWO + "--query-labels {f}/labels_q.txt", 2, "expected both query_labels and gallery_labels"),
        (TWO + LISTS + "--labels {f}/labels_q.txt", 2, "expected either labels, or both"),
        (TWO + LISTS + "--images {f}/images.txt", 2, "with old_query_features give query_images and gallery_images"),
        (TWO + LISTS + "--paragon {f}/paragon.npy", 2, "give paragon_query_features and paragon_gallery_features"),
        (TWO + LISTS + "--paragon-query-features {f}/paragon_q.npy", 2, "the paragon needs both"),
        (TWO + "--query-labels {f}/strangers.txt --gallery-labels {f}/labels_g.txt", 1, "strangers.txt occurs in"),
        (TWO + LISTS + "--new-gallery-features {f}/old_g.npy", 1, "expected features of one model, the new one"),
        (TWO.replace("old_q", "wide_q") + LISTS, 1, "expected features of one model, the old one"),
        (LABELLED + "--far 2", 2, "'2' is no rate from 0 to 1"),
        (LABELLED + "--ranks 0", 2, "'0' is no rank from 1 on"),
        (LABELLED + "--resamples few", 2, "'few' is no number from 2 on"),
        (LABELLED + "--seed -1", 2, "'-1' is no number from 0 on"),
        (LABELLED + "--out {f}/new.npy", 2, "new.npy is a file: expected a folder"),
        (LABELLED + "--out {f}/new.npy/deep", 1, "cannot write into"),
        ("", 2, "the following arguments are required: --query-features"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_writes_nothing(folder, tmp_path, capsys, options, code, said):
    extra = [] if "--out" in options else ["--out", str(tmp_path / "out")]
    assert command.main([*words(options + " " + FAST, folder), *extra]) == code
    captured = capsys.readouterr()
    error = [line for line in captured.err.splitlines() if line.startswith("bctlib report: ")]
    assert len(error) == 1 and said in error[0] and "Traceback" not in captured.err and not captured.out
    assert not (tmp_path / "out").exists()


def test_a_class_without_an_image_in_the_gallery_is_counted_and_said(folder, tmp_path, capsys):
    lines = (folder / "labels_q.txt").read_text().splitlines()
    lines[:2] = ["nobody"] * 2
    (tmp_path / "labels.txt").write_text("\n".join(lines) + "\n")
    options = TWO + "--gallery-labels {f}/labels_g.txt " + FAST + f"--query-labels {tmp_path}/labels.txt"
    assert command.main([*words(options, folder), "--out", str(tmp_path / "out")]) == 0
    assert "11 classes of the queries have no image in the gallery" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["counts"]["nonmated_queries"] == 12


def test_an_interrupted_run_leaves_the_last_report(folder, tmp_path, monkeypatch):
    arguments = [*words(LABELLED + FAST, folder), "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(judgement_page.UpgradePage, "_html", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert command.main(arguments) == 130
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_page_in_python(folder, monkeypatch):
    (block,) = blocks("docs/report.md", "python")
    monkeypatch.chdir(folder)
    names = {}
    exec(block, names)
    assert names["page"].judgement.counts["queries"] == N and (folder / "judged" / "report.html").exists()


def test_as_a_process(folder):
    command = [sys.executable, "-m", "bctlib.upgrade.report.command", *words(GALLERY + "nan.npy --out {f}/out", folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
    assert "bctlib report: " in done.stderr.splitlines()[-1]
