"""Files of weights: the content decides how one is read, and a file of another kind is called what it is."""

import os
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from custom_images import Classifier
from safetensors.torch import save_file
from torch import nn

from bctlib.base.errors import BctError
from bctlib.upgrade.train.plain_weights import read_classifier, read_weights


def saved(path: Path, found) -> Path:
    torch.save(found, path)
    return path


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier().eval()


def test_suffixes_promise_nothing(tmp_path):
    weights = {name: each.contiguous() for name, each in classifier().state_dict().items()}
    save_file(weights, tmp_path / "is_safetensors.bin")
    torch.save(weights, tmp_path / "is_torch.safetensors")
    for path in (tmp_path / "is_safetensors.bin", tmp_path / "is_torch.safetensors"):
        assert read_weights(path).keys() == weights.keys()


def other_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """A file of each kind that is not weights, with the beginning of what is said of it."""
    beginnings = {
        "empty": (b"", "an empty file: download"),
        "zeros": (bytes(5000), "a file of zeros"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer of Git LFS, not"),
        "page": (b"\xef\xbb\xbf\n<!DOCTYPE html><html>404</html>", "a web page or other XML"),
        "json": (b'{"message": "Bad credentials"}', "a JSON text"),
        "gzip": (b"\x1f\x8b\x08" + bytes(20), "a gzip archive"),
        "numpy": (b"\x93NUMPY\x01\x00" + bytes(20), "an array of NumPy"),
        "keras": (b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 file"),
        "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:", "an ONNX model"),
        "gguf": (b"GGUF\x03" + bytes(20), "a GGUF file"),
        "image": (b"\xff\xd8\xff\xe0" + bytes(20), "an image"),
    }
    files = {}
    for name, (content, what) in beginnings.items():
        files[name] = folder / f"{name}.pth", what
        files[name][0].write_bytes(content)
    inside = saved(folder / "inside.pth", {"a": torch.zeros(1)})
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        archive.write(inside, "inside.pth")
    with tarfile.open(folder / "many.tar", "w") as archive:
        archive.add(inside, "inside.pth")
    with warnings.catch_warnings(action="ignore"):  # it is deprecated
        torch.jit.script(nn.Linear(2, 2)).save(folder / "program.pt")
    files["zip"] = folder / "many.zip", "a zip archive of inside.pth: unpack it"
    files["tar"] = folder / "many.tar", "a tar archive: unpack it"
    files["torchscript"] = folder / "program.pt", "a TorchScript program, whose code is not executed"
    return files


def test_a_file_of_another_kind_is_called_what_it_is(tmp_path):
    for path, what in other_files(tmp_path).values():
        for read in (read_weights, read_classifier):
            with pytest.raises(BctError) as refused:
                read(path)
            assert str(refused.value).startswith(f"{path} is {what}"), refused.value
    (tmp_path / "text.pth").write_text("Not Found")
    with pytest.raises(BctError, match="expected a state dict, found text that begins with 'Not Found'"):
        read_weights(tmp_path / "text.pth")
    with pytest.raises(BctError, match="is a folder: expected the file of weights in it"):
        read_weights(tmp_path)
    with pytest.raises(BctError, match="holds an empty dict: expected a state dict"):
        read_weights(saved(tmp_path / "nothing.pth", {}))
    with pytest.raises(BctError, match="holds a dict of 0: expected a state dict"):
        read_weights(saved(tmp_path / "numbers.pth", {0: torch.zeros(2)}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbfversion https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, not the file itself"),
        ("<html>".encode("utf-16"), "is a text in UTF-16"),
        (b"%PDF-1.4\n%\xe2\xe3", "is a PDF"),
        (b"\xff" * 7 + b"\x7f{}", "is damaged or no file of weights"),
        (
            b"\xef\xbb\xbfNot found",
            "is damaged or no file of weights: expected a state dict, found text that begins with ",
        ),
    ],
)
def test_only_pickles_are_called_pickled_objects(tmp_path, content, said):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(BctError, match=f"w.pth {said}"):
        read_weights(tmp_path / "w.pth")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(BctError, match="w.pth is a pipe or a device: expected a file of weights$"):
        read_weights(tmp_path / "w.pth")


def test_a_wrong_checksum_inside_an_archive_is_said(tmp_path, capsys):
    """PyTorch reads on where a byte of a tensor was changed."""
    path = tmp_path / "w.pth"
    torch.save({"fc.weight": torch.arange(600.0).reshape(20, 30)}, path)
    read_weights(path)
    assert "checksum" not in capsys.readouterr().err
    content = bytearray(path.read_bytes())
    place = content.index(torch.arange(600.0).numpy().tobytes())
    content[place + 40] ^= 1
    path.write_bytes(content)
    read_weights(path)
    assert "does not match its checksum: the file may be damaged" in capsys.readouterr().err
