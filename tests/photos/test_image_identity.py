"""Images and code that were replaced are other ones, however alike they look; copied and touched ones are the same."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bctlib.base.network_code import code_of
from bctlib.data.photos import contents
from bctlib.data.photos.contents import WHOLE, file_contents
from bctlib.data.photos.files import PathList
from bctlib.data.photos.index import index_folder, index_list
from bctlib.upgrade import embed, feature_file
from bctlib.upgrade.train import command as train

NETWORK = """
from torch import nn
import {package}_parts

def build():
    return nn.Sequential({package}_parts.layer(), nn.ReLU())
"""
PARTS = "from torch import nn\n\ndef layer():\n    return nn.Conv2d(3, 8, 3, 2, 1)\n"


@pytest.fixture
def package(tmp_path, monkeypatch, store_folder):
    """The name of a new module `build`s a network with, and which has a second module of its own."""
    name = f"net_{time.time_ns()}"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / f"{name}.py").write_text(NETWORK.format(package=name))
    (tmp_path / "code" / f"{name}_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    yield name
    for each in (name, f"{name}_parts"):
        sys.modules.pop(each, None)


def write_bitmaps(root: Path, seed: int, side: int = 16) -> Path:
    """Two classes of four images, each of the same length whatever the seed."""
    rng = np.random.default_rng(seed)
    for name in ("one", "two"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(4):
            pixels = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.bmp")
    return root


def replaced_unseen(path: Path, change) -> None:
    """Change a file in place without its length, and set its modification time back."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns


def invert(path: Path) -> None:
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[60:] = 255 - content[60:]
    path.write_bytes(content.tobytes())


@pytest.mark.parametrize("kind", ["folder", "list"])
def test_replaced_images_are_another_data_set_and_copied_ones_the_same(tmp_path, store_folder, kind):
    root = write_bitmaps(tmp_path / "photos", 1)
    (root / "list.txt").write_text("one/0.bmp a\ntwo/1.bmp b\n")
    find = index_folder if kind == "folder" else lambda folder: index_list(folder / "list.txt")
    first = find(root)
    assert find(root).version == first.version
    for path in first.paths:
        (root / path).touch()
    assert find(root).version == first.version, "touched"
    replaced_unseen(first.path(0), invert)
    assert find(root).version != first.version, "one image is another"
    invert(first.path(0))
    assert find(root).version == first.version, "and it is back"


def test_what_is_kept_spares_reading_and_never_hides_a_change(tmp_path, store_folder, monkeypatch):
    """Files that were read soon after they were written are read once more: their times may not have moved."""
    root = write_bitmaps(tmp_path / "photos", 1)
    paths = PathList.of(sorted(str(path.relative_to(root)) for path in root.rglob("*.bmp")))
    read = []
    real = contents._digest
    monkeypatch.setattr(contents, "_digest", lambda *given: (read.append(given[1]), real(*given))[1])
    first = file_contents(root, paths)
    again = file_contents(root, paths)
    assert len(read) == 16, "fresh files are not trusted"
    np.testing.assert_array_equal(first.digests, again.digests)
    monkeypatch.setattr(contents, "_FRESH_NS", -(10**12))
    file_contents(root, paths)
    read.clear()
    file_contents(root, paths)
    assert not read
    invert(root / paths[3])
    part = file_contents(root, paths.take(np.array([5, 3])))
    assert read == [paths[3]], "of another list of the same files only what has changed"
    assert not np.array_equal(part.digests[1], first.digests[3])
    np.testing.assert_array_equal(part.digests[0], first.digests[5])
    (root / paths[3]).unlink()
    assert file_contents(root, paths).sizes.tolist() == [822] * 3 + [-1] + [822] * 4


def test_a_doubt_is_said(tmp_path, store_folder, capsys):
    """A long file that was written between the blocks that are read: taken for the same, with a word."""
    root = tmp_path / "photos"
    root.mkdir()
    paths = PathList.of(["long.bmp", "longer.bmp"])
    for path in paths:
        (root / path).write_bytes(bytes(4 * WHOLE))
    first = file_contents(root, paths)
    content = bytearray(4 * WHOLE)
    content[5000] = 1
    (root / "long.bmp").write_bytes(content)
    assert "long.bmp" not in capsys.readouterr().err
    second = file_contents(root, paths)
    np.testing.assert_array_equal(first.digests, second.digests)
    said = capsys.readouterr().err
    assert f"{root / 'long.bmp'}: written or touched since last read; same length and same 8 blocks of 4 KiB" in said
    for place in (0, 4 * WHOLE - 1, 56_000):
        content = bytearray(4 * WHOLE)
        content[place] = 1
        (root / "long.bmp").write_bytes(content)
        changed = file_contents(root, paths)
        assert (changed.digests != first.digests).any(axis=1).tolist() == [True, False], place


def options(root: Path, package: str, out: Path) -> list[str]:
    given = ["--data", root, "--method", "independent", "--backbone", f"{package}:build", "--dim", 8, "--epochs", 1]
    given += ["--batch", 4, "--image-size", 16, "--workers", 0, "--device", "cpu", "--out", out]
    return [str(each) for each in given]


def test_a_model_of_other_images_or_code_is_not_there_already(tmp_path, package, capsys):
    root, out = write_bitmaps(tmp_path / "photos", 1), tmp_path / "m.safetensors"
    command = options(root, package, out)
    assert train.main(command) == 0
    assert train.main(command) == 0 and "is there already" in capsys.readouterr().err
    write_bitmaps(root, 2)
    assert train.main(command) == 2
    assert "which differs in images: expected another name, or remove it" in capsys.readouterr().err
    write_bitmaps(root, 1)
    parts = tmp_path / "code" / f"{package}_parts.py"
    parts.write_text("# a remark\n\n" + PARTS)
    assert train.main(command) == 0 and "is there already" in capsys.readouterr().err
    parts.write_text(PARTS.replace("3, 2, 1", "3, 1, 1"))
    assert train.main(command) == 2
    said = capsys.readouterr().err
    assert f"m.safetensors: the code of {package}:build has changed since it was trained" in said
    assert "which differs in the code of its network" in said


def test_rows_of_other_images_models_or_code_are_not_resumed(tmp_path, package, capsys, monkeypatch):

    root, model = write_bitmaps(tmp_path / "photos", 1), tmp_path / "m.safetensors"
    assert train.main(options(root, package, model)) == 0
    command = ["--model", model, "--backbone", f"{package}:build", "--images", root, "--batch", 3, "--workers", 0]
    command = [str(each) for each in [*command, "--device", "cpu", "--out"]]
    whole = feature_file.embedded_batches

    def interrupted(*arguments):
        yield next(whole(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_file, "_SAVE_S", -1.0)
    parts = tmp_path / "code" / f"{package}_parts.py"
    changes = {
        "nothing": lambda: None,
        "images": lambda: write_bitmaps(root, 2),
        "code": lambda: parts.write_text(PARTS + "\nMORE = 1\n"),
    }
    for name, change in changes.items():
        monkeypatch.setattr(feature_file, "embedded_batches", interrupted)
        assert embed.main([*command, str(tmp_path / "r.npy")]) == 130
        change()
        monkeypatch.setattr(feature_file, "embedded_batches", whole)
        capsys.readouterr()
        assert embed.main([*command, str(tmp_path / "r.npy")]) == 0
        said = capsys.readouterr().err
        assert ("resuming at image 4 of 8" in said) == (name == "nothing"), name
        assert ("r.npy.partial belongs to other images or another model" in said) == (name != "nothing"), name
        assert embed.main([*command, str(tmp_path / "fresh.npy")]) == 0
        np.testing.assert_allclose(np.load(tmp_path / "r.npy"), np.load(tmp_path / "fresh.npy"), rtol=1e-4, atol=1e-6)


def test_code_is_followed_through_packages_without_running_it(tmp_path, monkeypatch):
    name = f"pkg_{time.time_ns()}"
    folder = tmp_path / name / "deep"
    folder.mkdir(parents=True)
    for path, text in {
        folder.parent / "__init__.py": "raise RuntimeError('run')\n",
        folder / "__init__.py": "",
        folder / "net.py": "import torch\nfrom .. import layers\nfrom .other import x\n",
        folder / "other.py": "def x():\n    from bctlib.upgrade.train import train\n    import gone_module\n",
        folder.parent / "layers.py": "y = 1\n",
        folder.parent / "unused.py": "z = 1\n",
    }.items():
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    first = code_of(f"{name}.deep.net:build@8x8")
    assert first == code_of(f"{name}.deep.net:Other") and len(first) == 16
    for path, counts in (("unused.py", False), ("layers.py", True), ("deep/other.py", True), ("__init__.py", True)):
        file = tmp_path / name / path
        text = file.read_text()
        file.write_text(text + "more = 1\n")
        assert (code_of(f"{name}.deep.net:build") != first) == counts, path
        file.write_text(text)
    assert code_of("resnet18@8x8") is None and code_of("no_such_package.net:build") is None
    assert len(code_of("timm:create_model")) == 16, "of an installed library"
