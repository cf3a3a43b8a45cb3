"""Names of classes: those that no line of text can hold are refused before work begins, two Unicode forms are one."""

import os
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from custom_images import CLASSES, Classifier, write_images
from real_layouts import save_picture
from tiny import tiny_recipe

from bctlib.base.errors import BctError
from bctlib.data.paper.imdb_face import find_pictures, read_face_table
from bctlib.data.photos.class_names import (
    check_line,
    class_names,
    composed,
    read_class_map,
    read_class_names,
    read_row_classes,
)
from bctlib.data.photos.index import index_folder, index_list
from bctlib.losses import frozen_head
from bctlib.methods import OldModel
from bctlib.upgrade import embed
from bctlib.upgrade.evaluate.inputs import read_identities
from bctlib.upgrade.images import images_by_class, images_to_embed
from bctlib.upgrade.train import command
from bctlib.upgrade.train.old_models import old_from_artefact

NFC, NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))
NOT_UTF8 = os.fsdecode(b"caf\xe9")
REFUSED = [
    (NOT_UTF8, r"'caf\xe9' is not UTF-8"),
    ("two\nlines", r"'two\nlines' holds the end of a line"),
    ("end\n", r"'end\n' holds the end of a line"),
    ("re\rturn", r"'re\rturn' holds the end of a line"),
    ("se\u2028parated", r"'se\u2028parated' holds the end of a line"),
    ("next\x85line", r"'next\x85line' holds the end of a line"),
    (" blank", "' blank' begins or ends with a blank"),
    ("blank\u00a0", r"'blank\xa0' begins or ends with a blank"),
    ("\ufeffmark", r"'\ufeffmark' holds a NUL character or a byte-order mark"),
]
EXPECTED = ": expected one that a line of a UTF-8 file can hold, so rename it"


@pytest.mark.parametrize(("name", "said"), REFUSED)
def test_a_name_that_no_line_holds_is_refused_before_the_training(name, said, tmp_path, store_folder, capsys):
    root = write_images(tmp_path / "photos", CLASSES[:2], 2)
    (root / CLASSES[0]).rename(root / name)
    options = ["--method", "independent", "--data", root, "--out", tmp_path / "out.safetensors", "--workers", "0"]
    assert command.main([str(each) for each in options]) == 1
    assert capsys.readouterr().err.strip() == f"bctlib train: {root}: the class name {said}{EXPECTED}"
    assert not list(tmp_path.glob("out*"))
    with pytest.raises(BctError, match="the class name"):
        images_to_embed(root)


@pytest.mark.parametrize(
    "name", ["日本", "Ärger", "ﬁ", "a\tb", "no\u00a0break", "\U0001f600", "‏עברית", "zero\u200bwidth"]
)
def test_other_names_are_kept(name, tmp_path, store_folder):
    check_line(name, "name")
    save_picture(tmp_path / name / "1.jpg", 0)
    assert index_folder(tmp_path).classes == (name,)
    (tmp_path / "labels.txt").write_text(f"{name}\n", encoding="utf-8")
    assert read_identities("labels", tmp_path / "labels.txt")[0].tolist() == [name]


def test_what_embed_would_write_is_checked_first(tmp_path, store_folder, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    root = write_images(tmp_path / "photos", CLASSES[:2], 2)
    torch.save(Classifier().state_dict(), tmp_path / "old.pth")
    (root / CLASSES[0] / "000.jpg").rename(root / CLASSES[0] / os.fsdecode(b"\xff.jpg"))
    (tmp_path / "list.txt").write_text(f"photos/{CLASSES[0]}/001.png a\u2028b\n", encoding="utf-8")
    own = ["--backbone", "custom_images:Classifier", "--classifier", "head.fc", "--workers", "0", "--image-size", "32"]
    options = ["--model", tmp_path / "old.pth", *own, "--device", "cpu", "--out", tmp_path / "f.npy", "--images"]
    for images, said in (
        (root, rf"the path 'photos/{CLASSES[0]}/\xff.jpg' is not UTF-8"),
        (tmp_path / "list.txt", rf"{tmp_path / 'list.txt'}: the class name 'a\u2028b' holds the end of a line"),
    ):
        assert embed.main([str(each) for each in (*options, images)]) == 1
        assert capsys.readouterr().err.strip().splitlines()[-1:] == [f"bctlib embed: {said}{EXPECTED}"]
    assert not list(tmp_path.glob("f*"))


def test_both_forms_of_a_name_are_one_class_and_it_is_said(tmp_path, store_folder, capsys):
    root = tmp_path / "photos"
    for position, name in enumerate((NFC, NFD, "anna")):
        save_picture(root / name / f"{position}.jpg", position)
    index, _ = images_by_class(root, (32, 32), workers=0)
    assert index.classes == (NFC, "anna") and index.labels.tolist() == [0, 0, 1]
    assert sorted(index.paths) == sorted([f"{NFC}/0.jpg", f"{NFD}/1.jpg", "anna/2.jpg"]), "files keep their names"
    assert (
        f"{root}: names in Unicode's decomposed form (NFD) count as those in the composed form (NFC): 1, such as "
        "'José'; in both forms, each as one name: 1\n"
    ) in capsys.readouterr().err
    assert index_folder(root).classes == index.classes, "of a kept index too"


def test_every_list_of_names_has_one_form(tmp_path, store_folder, capsys):
    path = tmp_path / "names.txt"
    path.write_text(f"{NFD}\nanna\n", encoding="utf-8")
    np.save(tmp_path / "names.npy", np.array([NFD, "anna"]))
    for read in (
        lambda: read_class_names(path, 2, "x"), lambda: read_row_classes(path, 2, "x"),
        lambda: read_identities("x", path)[0], lambda: read_identities("x", tmp_path / "names.npy")[0],
    ):  # fmt: skip
        assert list(read()) == [NFC, "anna"]
        assert "(NFC): 1, such as 'José'\n" in capsys.readouterr().err
    path.write_text(f"{NFC}\n{NFD}\n", encoding="utf-8")
    with pytest.raises(BctError, match="line 2: the class 'José' occurs twice"):
        read_class_names(path, 2, "x")
    path.write_text(f"{NFD}\tMaría\n", encoding="utf-8")
    assert read_class_map(path) == {NFC: "María"}
    for image in "ab":
        save_picture(tmp_path / f"{image}.jpg", 0)
    path.write_text(f"a.jpg {NFC}\nb.jpg {NFD}\n", encoding="utf-8")
    assert index_list(path).classes == (NFC,) and images_to_embed(path).labels == (NFC, NFC)


def test_an_old_model_and_the_pictures_of_a_table_too(tmp_path, store_folder, monkeypatch):
    old = OldModel(torch.nn.Flatten(), frozen_head(torch.eye(2)), (NFD, "anna"))
    artefact = SimpleNamespace(as_old=lambda: old, image_size=(8, 8), recipe=tiny_recipe())
    monkeypatch.setattr("bctlib.upgrade.train.old_models.load_artefact", lambda *_: artefact)
    assert old_from_artefact("old.safetensors").model.classes == (NFC, "anna")
    rows = "".join(f"X,{name},{image},0 0 50 50,112 112,u\n" for image, name in (("1", NFC), ("2", NFD)))
    table = tmp_path / "faces.csv"
    table.write_text("name,index,image,rect,height width,url\n" + rows, encoding="utf-8")
    for image, name in (("1", NFC), ("2", NFD)):
        save_picture(tmp_path / "images" / name / f"{image}.jpg", 0)
    index, faces = find_pictures(read_face_table(table), tmp_path / "images")
    assert index.classes == (NFC,) and [path[-5] for path in index.paths] == [str(face + 1) for face in faces]


def test_kanji_that_look_different_stay_apart():
    """NFC makes the compatibility ideograph U+FA19 to U+795E, which macOS keeps apart in the names of files."""
    assert class_names(["\ufa19", "\u795e", "\u212b", "\u00c5"], "x") == ["\ufa19", "\u795e", "\u212b", "\u00c5"]
    assert composed(unicodedata.normalize("NFD", "が각")) == "が각"
