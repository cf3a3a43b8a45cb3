"""What of a folder is an image is told by content, and what is left out is counted and named; nothing goes unsaid."""

import os

import pytest
from real_layouts import save_picture

from bctlib.base.errors import BctError
from bctlib.data.photos.index import index_folder
from bctlib.data.photos.scan import has_image_content
from bctlib.upgrade.images import images_by_class, images_to_embed


@pytest.fixture
def photos(tmp_path, store_folder):
    """Two classes of two images."""
    for name in ("one", "two"):
        for i in range(2):
            save_picture(tmp_path / "photos" / name / f"{i}.jpg", i)
    return tmp_path / "photos"


def save_as(path, kind):
    """An image in a format of Pillow under any name."""
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        Image.new("RGB", (16, 16), (200, 30, 30)).save(file, kind)


def said_of(capsys, folder) -> str:
    """The line about what was left out."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"{folder}: left out: ")]
    assert len(lines) == 1, lines
    return lines[0].partition("left out: ")[2]


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "JPEG", "PNG", "WEBP", "BMP", "PPM", "JPEG2000"])
@pytest.mark.parametrize("name", ["without_suffix", "a.dat", "b.tif"])
def test_content_decides_whatever_the_name(photos, kind, name, capsys):
    save_as(photos / "three" / name, kind)
    assert list(images_to_embed(photos).paths)[2] == f"three/{name}"
    index, images = images_by_class(photos, (16, 16), workers=0)
    assert images.images[2].shape == (16, 16, 3) and index.classes == ("one", "three", "two")
    assert "left out" not in capsys.readouterr().err


def test_other_files_are_counted_and_named_each_time(photos, capsys):
    (photos / "one" / "notes.txt").write_text("BM P6 GIF89a")
    (photos / "two" / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(50))
    os.mkfifo(photos / "two" / "pipe.jpg")
    (photos / "two" / ".hidden.jpg").write_bytes((photos / "two" / "0.jpg").read_bytes())
    (photos / "two" / "._0.jpg").write_bytes(b"\0\x05\x16\x07 of macOS")
    (photos / "two" / ".thumbs").mkdir()
    for _ in range(2):  # the second time from the kept index
        assert len(images_to_embed(photos)) == 4
        assert said_of(capsys, photos) == (
            "3 files that are no images (one/notes.txt, ...), 1 hidden folder (two/.thumbs), "
            "1 hidden image (two/.hidden.jpg)"
        )


def test_images_beside_the_folders_of_classes_are_named(photos, capsys):
    for i in range(3):
        save_picture(photos / f"loose{i}.jpg", i)
    (photos / "README.md").write_text("of these photos")
    assert len(images_to_embed(photos)) == 4
    assert said_of(capsys, photos) == "3 images beside the folders of the classes (loose0.jpg, ...)"
    assert len(index_folder(photos)) == 4 and said_of(capsys, photos)


def test_a_flat_folder_with_empty_folders_is_flat(tmp_path, store_folder, capsys):
    flat = tmp_path / "flat"
    save_picture(flat / "b.jpg", 1)
    save_as(flat / "a", "TIFF")
    (flat / "old").mkdir()
    (flat / "list.txt").write_text("a\nb.jpg\n")
    found = images_to_embed(flat)
    assert list(found.paths) == ["a", "b.jpg"] and found.labels is None
    assert said_of(capsys, flat) == "1 file that is no image (list.txt), 1 folder without an image (old)"
    assert list(images_to_embed(flat / "list.txt").paths) == ["a", "b.jpg"]
    (flat / "list.txt").write_text("a x\nb.jpg y\n")
    assert images_to_embed(flat / "list.txt").labels == ("x", "y")
    (flat / "list.txt").write_text("a\ngone\n")
    with pytest.raises(BctError, match="line 1: expected `path` or `path label`.* a file that is there; found 'a'"):
        images_to_embed(flat / "list.txt")


def test_a_class_without_images_is_refused_as_in_training(photos):
    (photos / "three").mkdir()
    (photos / "three" / "notes.txt").write_text("no image")
    for use in (images_to_embed, lambda root: images_by_class(root, (16, 16), 0)):
        with pytest.raises(BctError, match="photos/three holds no image: expected at least one in the folder of each"):
            use(photos)


def test_links_to_folders_are_followed_and_end(photos, tmp_path, capsys):
    (photos / "one" / "more").symlink_to(photos / "two")
    (photos / "three").symlink_to(photos / "two")
    found = images_to_embed(photos)
    assert list(found.paths)[:4] == ["one/0.jpg", "one/1.jpg", "one/more/0.jpg", "one/more/1.jpg"]
    assert found.labels == ("one",) * 4 + ("three",) * 2 + ("two",) * 2
    assert "left out" not in capsys.readouterr().err
    save_picture(photos / "two" / "2.jpg", 9)
    assert len(images_to_embed(photos)) == 11, "a new image in a linked folder is seen"
    (photos / "one" / "again").symlink_to(photos / "two")
    (photos / "two" / "up").symlink_to(photos)
    (photos / "two" / "itself").symlink_to(photos / "two" / "itself")
    assert len(images_to_embed(photos)) == 11
    assert said_of(capsys, photos).endswith("links to folders that were seen already (one/more, ...)")


def test_what_no_reader_understands_is_no_image(tmp_path):
    for name, content in (
        ("heic", b"\0\0\0\x18ftypheic" + bytes(40)),
        ("nothing", b""),
        ("text", b"P5 is a printer\n"),
    ):
        (tmp_path / name).write_bytes(content)
        assert not has_image_content(tmp_path / name)
    assert not has_image_content(tmp_path / "gone")


def test_the_last_line_of_embed_says_it_too(photos, tmp_path, monkeypatch, capsys):
    import torch
    from custom_images import Classifier

    from bctlib.upgrade import embed

    torch.save(Classifier().state_dict(), tmp_path / "old.pth")
    save_picture(photos / "loose.jpg", 3)
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    given = ["--model", tmp_path / "old.pth", "--backbone", "custom_images:Classifier", "--classifier", "head.fc"]
    given += ["--images", photos, "--out", tmp_path / "x.npy", "--image-size", 16, "--workers", 0, "--device", "cpu"]
    assert embed.main([str(each) for each in given]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("4 images x 32: x.npy, x.paths.txt, x.labels.txt in ")
    assert last.endswith("; left out: 1 image beside the folders of the classes (loose.jpg)")


def test_a_dead_link_may_be_a_class_and_is_named_until_it_leads_somewhere(photos, tmp_path, capsys):
    (photos / "three").symlink_to(tmp_path / "disk" / "three")
    (photos / "one" / "more").symlink_to(tmp_path / "disk" / "more")
    for _ in range(2):
        assert len(images_to_embed(photos)) == 4
        assert said_of(capsys, photos) == "2 dead links (three, ...)"
    save_picture(tmp_path / "disk" / "three" / "0.jpg", 1)
    save_picture(tmp_path / "disk" / "more" / "0.jpg", 1)
    assert list(images_to_embed(photos).labels) == ["one", "one", "one", "three", "two", "two"]
    assert "left out" not in capsys.readouterr().err
