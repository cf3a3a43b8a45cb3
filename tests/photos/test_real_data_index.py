"""The index of an image folder: what it holds, that it is kept, and that no change of the folder escapes it."""

import os

import numpy as np
import pytest
from real_layouts import save_picture, write_identity_folders

from bctlib.base.errors import BctError
from bctlib.data.photos import index as image_index
from bctlib.data.photos.files import PathList
from bctlib.data.photos.index import index_folder, index_list


@pytest.fixture
def faces(tmp_path, store_folder):
    return write_identity_folders(tmp_path / "faces")


@pytest.fixture
def no_scan(monkeypatch):
    """Make scanning fail, for a test that expects the kept index."""
    return lambda: monkeypatch.setattr(image_index, "_scan", lambda root: pytest.fail("the folder was scanned again"))


def test_paths_labels_and_sizes_are_those_of_the_disk(faces):
    (faces / "nm0000002" / "notes.txt").write_text("no image")
    (faces / "nm0000002" / ".hidden.jpg").write_bytes(b"no image")
    (faces / "empty").mkdir()
    (faces / "loose.jpg").write_bytes(b"of nobody")
    save_picture(faces / "nm0000003" / "more" / "rm9.JPG", 1)
    index = index_folder(faces)
    assert index.classes == ("nm0000000", "nm0000001", "nm0000002", "nm0000003")
    assert len(index) == 13 and list(index.paths) == sorted(index.paths)
    assert "nm0000003/more/rm9.JPG" in list(index.paths)
    for i in range(len(index)):
        assert index.paths[i].split("/")[0] == index.classes[index.labels[i]]
        assert index.path(i).stat().st_size == index.sizes[i]


def test_an_index_is_kept_and_used_again(faces, store_folder, no_scan):
    first = index_folder(faces)
    files = sorted(path.name for path in (store_folder / "indexes").iterdir())
    assert len(files) == 2 and files[1] == files[0] + ".sha256"
    no_scan()
    again = index_folder(faces)
    assert again.classes == first.classes and list(again.paths) == list(first.paths) and again.root == first.root
    np.testing.assert_array_equal(again.labels, first.labels)
    assert again.version == first.version


def _add(folder):
    save_picture(folder / "nm0000001" / "rm8.jpg", 5)


def _add_identity(folder):
    save_picture(folder / "nm0000009" / "rm8.jpg", 5)


def _remove(folder):
    (folder / "nm0000001" / "rm0.jpg").unlink()


def _rename(folder):
    (folder / "nm0000001" / "rm0.jpg").rename(folder / "nm0000002" / "rm7.jpg")


def _truncate(folder):
    path = folder / "nm0000001" / "rm0.jpg"
    path.write_bytes(path.read_bytes()[:99])


@pytest.mark.parametrize("change", [_add, _add_identity, _remove, _rename, _truncate])
def test_a_changed_folder_is_indexed_anew(faces, change):
    before = index_folder(faces)
    change(faces)
    after = index_folder(faces)
    assert after.version != before.version
    on_disk = sorted(str(path.relative_to(faces)) for path in faces.rglob("*.jpg"))
    assert list(after.paths) == on_disk


def test_a_damaged_index_is_made_again(faces, store_folder):
    before = index_folder(faces)
    (file,) = (store_folder / "indexes").glob("*.npz")
    file.write_bytes(file.read_bytes()[:-40])
    assert index_folder(faces).version == before.version


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_store_that_cannot_be_written_is_done_without(faces, store_folder, capsys):
    store_folder.mkdir()
    store_folder.chmod(0o500)
    assert len(index_folder(faces)) == 12
    store_folder.chmod(0o700)


def test_the_version_does_not_depend_on_where_the_folder_is(tmp_path, store_folder):
    one, two = (index_folder(write_identity_folders(tmp_path / name)) for name in ("one", "two"))
    assert one.version == two.version


def test_a_share_of_the_identities_keeps_their_names(faces):
    index = index_folder(faces)
    part = index.restricted(np.array([3, 1]))
    assert part.classes == ("nm0000001", "nm0000003")
    assert [path.split("/")[0] for path in part.paths] == ["nm0000001"] * 3 + ["nm0000003"] * 3
    assert part.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(BctError, match="no identity"):
        index.restricted(np.array([], int))


def test_a_list_gives_the_same_index(faces, tmp_path):
    lines = [f"./{path} {path.split('/')[0]}" for path in reversed(list(index_folder(faces).paths))]
    listed = tmp_path / "train.txt"
    listed.write_text("\n".join(lines) + "\n")
    assert index_list(listed, faces).version == index_folder(faces).version
    listed.write_text("\n".join(lines[:-1]) + "\n")
    assert len(index_list(listed, faces)) == 11, "an edited list is read again"


def test_a_path_in_a_list_may_hold_blanks(tmp_path, store_folder):
    save_picture(tmp_path / "a person" / "1.jpg", 0)
    (tmp_path / "list.txt").write_text("a person/1.jpg\t17\n\n")
    index = index_list(tmp_path / "list.txt")
    assert list(index.paths) == ["a person/1.jpg"] and index.classes == ("17",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.jpg 0\nb.jpg\n", "list.txt, line 2: has 1 field, expected 2"),
        ("a.jpg 0\nc.jpg 1\n", "list.txt, line 2: there is no file .*c.jpg .1 of 2 are missing"),
        ("\n", "list.txt is empty"),
        (b"\xff\xfe\x00", "list.txt is no text file"),
    ],
)
def test_a_faulty_list_is_refused_by_line(tmp_path, store_folder, text, said):
    save_picture(tmp_path / "a.jpg", 0)
    (tmp_path / "list.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BctError, match=said):
        index_list(tmp_path / "list.txt")


def test_folders_without_identities_are_refused(tmp_path, store_folder):
    with pytest.raises(BctError, match="is no folder"):
        index_folder(tmp_path / "nowhere")
    save_picture(tmp_path / "flat" / "1.jpg", 0)
    with pytest.raises(BctError, match="expected IDENTITY/name.jpg; 1 images lie directly in it"):
        index_folder(tmp_path / "flat")
    with pytest.raises(BctError, match="is no file"):
        index_list(tmp_path / "nothing.txt")


def test_paths_survive_in_arrays():
    names = ["a/b.jpg", "", "ä ö/ß.png", os.fsdecode(b"\xff\xfe.jpg")]
    paths = PathList.of(names)
    assert list(paths) == names and [paths[i] for i in range(4)] == names
    assert list(paths.take(np.array([3, 0, 0, 1]))) == [names[3], names[0], names[0], names[1]]
    assert list(paths.take(np.array([], int))) == []
