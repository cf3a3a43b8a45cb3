"""Embedding onto a disk that is full: one sentence, never a signal, and nothing half-written beside what was there."""

import errno
import os
import resource
import signal

import numpy as np
import pytest
import torch
from custom_images import CLASSES, Classifier, write_images
from real_layouts import save_picture

from bctlib.base.errors import BctError
from bctlib.data.photos.files import PathList
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.sets import ImageFilePool
from bctlib.upgrade import embed, feature_file
from bctlib.upgrade.feature_file import write_features

CPU = torch.device("cpu")


class Wide:
    """Embeddings of many elements: 8 images make 4 MB."""

    dim = 128 * 1024

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))[:, None] * torch.ones(self.dim)


@pytest.fixture
def pool(tmp_path, store_folder):
    for i in range(8):
        save_picture(tmp_path / "photos" / f"{i}.jpg", i)
    return ImageFilePool(tmp_path / "photos", PathList.of(f"{i}.jpg" for i in range(8)), WholeImage((16, 16)))


def write(path, pool, **more):
    write_features(path, Wide(), "a model", pool, CPU, batch=2, workers=0, **more)


def limited_write(path, pool) -> None:
    """In a process that may write no file of more than 2 MB, as on a disk that is full: it must end by itself."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        try:
            write(path, pool)
        except BctError as error:
            path.with_suffix(".said").write_text(str(error))
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1, signal.Signals(-os.waitstatus_to_exitcode(status))


def test_space_is_reserved_before_the_work(pool, tmp_path):
    path = tmp_path / "f.npy"
    limited_write(path, pool)
    assert path.with_suffix(".said").read_text() == (
        f"cannot write {path}.partial: File too large (8 rows take 4.2 MB)"
    )
    assert not path.exists()


def test_where_space_cannot_be_reserved_ordinary_writes_say_so(pool, tmp_path, monkeypatch):
    def cannot(*given):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    path = tmp_path / "f.npy"
    monkeypatch.setattr(os, "posix_fallocate", cannot)
    monkeypatch.setattr(feature_file, "_reserve", lambda file, size: None)  # nor a length given
    monkeypatch.setattr(feature_file, "_SAVE_S", -1.0)
    limited_write(path, pool)
    assert path.with_suffix(".said").read_text() == f"cannot write {path}.partial: File too large"
    monkeypatch.undo()
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(os, "posix_fallocate", cannot)
    write(path, pool)
    assert np.load(path).shape == (8, Wide.dim)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_full_disk_is_one_sentence(pool, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=3m none {disk} 2> /dev/null"):
        pytest.skip("cannot mount here")
    try:
        with pytest.raises(BctError, match=r"cannot write .*f.npy.partial: No space left on device \(8 rows take 4.2"):
            write(disk / "f.npy", pool)
    finally:
        os.system(f"umount {disk}")


def test_names_are_written_before_the_rows_appear(pool, tmp_path, capsys):
    """A disk that is full by then leaves the old rows with the old names, and no row is lost."""
    path = tmp_path / "f.npy"

    def full():
        assert not path.exists()
        raise BctError("cannot write f.paths.txt: No space left on device")

    with pytest.raises(BctError, match="f.paths.txt"):
        write(path, pool, last=full)
    assert not path.exists()
    write(path, pool)
    assert "resuming at image 9 of 8" not in capsys.readouterr().err
    expected = torch.cat([Wide().embed(images.float() / 127.5 - 1) for images in pool.batches(2, 0)])
    np.testing.assert_allclose(np.load(path), expected, atol=1e-5)


def test_labels_that_lie_beside_the_features_of_images_without_any_are_kept(tmp_path, monkeypatch, capsys):
    """They may be of other images, or written by hand for these."""
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    write_images(tmp_path, CLASSES[:1], 2)
    torch.save(Classifier().state_dict(), tmp_path / "w.pth")
    (tmp_path / "f.labels.txt").write_text("mine\nmine\n")
    words = ["--model", tmp_path / "w.pth", "--backbone", "custom_images:Classifier", "--classifier", "head.fc"]
    words += ["--image-size", "32", "--workers", "0", "--images", tmp_path / CLASSES[0], "--out", tmp_path / "f.npy"]
    assert embed.main([str(word) for word in words]) == 1
    said = "f.labels.txt is there, and these images have no labels: expected another --out, or remove it"
    assert said in capsys.readouterr().err
    assert (tmp_path / "f.labels.txt").read_text() == "mine\nmine\n" and not (tmp_path / "f.npy").exists()


def test_a_name_that_is_too_long_is_one_sentence(tmp_path, capsys):
    out = tmp_path / f"{'a' * 300}.npy"
    assert embed.main(["--model", "w.pth", "--images", str(tmp_path), "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"bctlib embed: cannot use {out}: File name too long\n"
