"""What cannot be used for an upgrade is refused in one sentence, before anything is trained or written."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from custom_images import CLASSES, Classifier, write_images
from safetensors.torch import save_file

from bctlib.base.foreign_networks import call_factory
from bctlib.upgrade import embed, feature_file
from bctlib.upgrade.train import command as train
from bctlib.upgrade.train.plain_weights import read_classifier, read_weights

PLAIN = ["--old-backbone", "custom_images:Classifier", "--old-classes", "{}/classes.txt", "--old-classifier", "head.fc"]


class Malicious:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Good and bad files of every kind."""
    root = tmp_path_factory.mktemp("bad")
    patch = pytest.MonkeyPatch()
    patch.setenv("BCT_STORE", str(root / "store"))
    patch.syspath_prepend(str(Path(__file__).parents[2] / "helpers"))
    classes = CLASSES[:3]
    write_images(root / "photos", classes, 4)
    shutil.copytree(root / "photos", root / "hole")
    (root / "hole" / "nothing here").mkdir()
    shutil.copytree(root / "photos", root / "damaged")
    victim = root / "damaged" / classes[1] / "001.png"
    victim.write_bytes(victim.read_bytes()[:200])
    (root / "empty").mkdir()
    write_images(root / "single", classes[:1], 2)
    write_images(root / "strangers", CLASSES[5:7], 3)
    torch.manual_seed(0)
    net = Classifier()
    weights = net.state_dict()
    torch.save(weights, root / "old.pth")
    torch.save(net, root / "whole_module.pth")
    torch.save({"weights": Malicious(root / "pwned")}, root / "malicious.pth")
    torch.save({"lr": 0.1, "names": ["a"]}, root / "no_weights.pth")
    torch.save(weights | {"trunk.0.0.weight": weights["trunk.0.0.weight"] * float("nan")}, root / "nan.pth")
    torch.save({k: v for k, v in weights.items() if "trunk.0.3" not in k}, root / "incomplete.pth")
    torch.save(weights | {"head.fc.weight": torch.randn(3, 20)}, root / "narrow.pth")
    (root / "cut.pth").write_bytes((root / "old.pth").read_bytes()[:1000])
    (root / "text.safetensors").write_text("not a file of weights")
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    (root / "four.txt").write_text("a\nb\nc\nd\n")
    (root / "twice.txt").write_text(f"{classes[0]}\n{classes[1]}\n{classes[0]}\n")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 8)).astype(np.float32)
    np.save(root / "old.npy", features)
    np.save(root / "nan.npy", np.where(np.arange(48).reshape(6, 8) == 19, np.nan, features))
    np.save(root / "zero.npy", features * np.array([0, 0, 1, 1, 1, 1])[:, None])
    np.save(root / "flat.npy", features[0])
    (root / "labels.txt").write_text("".join(f"{name}\n" * 2 for name in classes))
    (root / "few_labels.txt").write_text("".join(f"{name}\n" * 2 for name in classes[:2]))
    (root / "two_labels.txt").write_text("".join(f"{name}\n" * 3 for name in classes[:2]))
    (root / "stranger_labels.txt").write_text("x\ny\nz\n" * 2)
    (root / "map_unknown.txt").write_text("nobody somebody\n")
    (root / "map_fields.txt").write_text("red disc one\n")
    (root / "map_same.txt").write_text(f"{classes[0]}\t{classes[1]}\n")
    (root / "a_file").write_text("x")
    yield root
    patch.undo()


def refused(capsys, command, *options) -> str:
    """The one sentence of a command that must fail."""
    assert command.main([str(each) for each in options]) in (1, 2)
    said = capsys.readouterr().err.strip().splitlines()
    assert said and "Traceback" not in "".join(said), said
    return said[-1]


def options_of(own, text: list[str]) -> list[str]:
    return [word.format(own) for word in text]


FEATURES = ["--old", "{}/old.npy", "--old-labels", "{}/labels.txt", "--method", "bct"]
CASES = {
    "a class without images": (["--data", "{}/hole"], "nothing here holds no image"),
    "an empty folder": (["--data", "{}/empty"], "holds no image in a folder of its identity"),
    "no folder": (["--data", "{}/nowhere"], "is no folder"),
    "a single class": (["--data", "{}/single"], "holds one class, 'red disc'"),
    "a damaged image": (["--data", "{}/damaged"], "green disc/001.png: is"),
    "no old model": (["--method", "bct"], "method bct needs an old model"),
    "an old model too many": (["--old", "{}/old.pth", *PLAIN, "--method", "independent"], "makes no use of an old"),
    "no such old model": (["--old", "{}/gone.pth", *PLAIN], "gone.pth: no such file"),
    "unknown backbone": (["--backbone", "resnet1800"], "unknown backbone 'resnet1800'"),
    "module that is not there": (
        ["--backbone", "no_such_package.net:build"],
        "cannot import 'no_such_package.net:build'",
    ),
    "factory that is not there": (["--backbone", "custom_images:nothing"], "has no attribute 'nothing'"),
    "no factory": (["--backbone", "custom_images:NOT_CALLABLE"], "is a int, expected a function or class"),
    "factory that fails": (["--backbone", "custom_images:failing"], "RuntimeError: no licence for this network"),
    "factory of something else": (["--backbone", "custom_images:no_module"], "made a int, expected a torch.nn.Module"),
    "wrong width": (["--backbone", "custom_images:flat_wrong"], "asked for dim=16 and gives embeddings of 7"),
    "wrong images": (
        ["--backbone", "custom_images:only_64"],
        "network custom_images:only_64 fails on images of 3 x 32 x 32",
    ),
    "one image for batch normalisation": (
        ["--backbone", "resnet18", "--batch", "1"],
        "network resnet18 normalises over the batch, and one image of 3 x 32 x 32 is not enough for that",
    ),
    "tuple": (["--backbone", "custom_images:TwoAnswers"], "returns tuple, expected one tensor"),
    "grey network": (["--backbone", "glyphnet"], "network glyphnet fails on images of 3 x 32 x 32"),
    "NaN loss": (["--backbone", "custom_images:Explodes"], "the loss is nan"),
    "softmax head with a scale": (["--head", "softmax", "--scale", "8"], "does not take these settings"),
    "no epochs": (["--epochs", "0"], "--epochs is 0, expected 1 or more"),
    "rate": (["--rate", "0"], "--rate is 0.0, expected a number above 0"),
    "device": (["--device", "tpu"], "unknown device 'tpu'"),
    "image size": (["--image-size", "0"], "'0' is no image size"),
    "out is a folder": (["--out", "{}/photos"], "is a folder: expected the name of a file"),
    "out of another name": (["--out", "{}/new.pth"], "expected a name that ends in .safetensors"),
    "out is somebody's": (["--out", "{}/text.safetensors"], "is no model file of bctlib: expected another name"),
    "out below a file": (["--out", "{}/a_file/new.safetensors"], "cannot write into"),
    "old backbone missing": (["--old", "{}/old.pth", "--method", "bct"], "expected --old-backbone and --old-classes"),
    "option without meaning": (["--old-scale", "3"], "--old-scale does not apply"),
    "classifier of another dimension": (["--old", "{}/narrow.pth", *PLAIN], "has 20 columns, but backbone"),
    "old wider than new": (["--old", "{}/old.pth", *PLAIN, "--method", "bct"], "--dim is 16, expected at least 32"),
    "unknown classifier": (["--old", "{}/old.pth", *PLAIN[:-1], "fc.weight"], "no key or file 'fc.weight'; expected"),
    "class file too long": (["--old", "{}/old.pth", *PLAIN, "--old-classes", "{}/four.txt"], "has 4 lines: expected 3"),
    "class twice": (
        ["--old", "{}/old.pth", *PLAIN, "--old-classes", "{}/twice.txt"],
        "line 3: the class 'red disc' occurs",
    ),
    "weights missing": (
        ["--old", "{}/incomplete.pth", *PLAIN],
        "does not fit backbone custom_images:Classifier: it lacks",
    ),
    "other network": (
        ["--old", "{}/old.pth", "--old-backbone", "resnet18", *PLAIN[2:]],
        "does not fit backbone resnet18",
    ),
    "weights with NaN": (["--old", "{}/nan.pth", *PLAIN], "trunk.0.0.weight holds NaN"),
    "malicious pickle": (["--old", "{}/malicious.pth", *PLAIN], "pickled objects, which are refused"),
    "whole module": (["--old", "{}/whole_module.pth", *PLAIN], "save the weights alone"),
    "cut off": (["--old", "{}/cut.pth", *PLAIN], "is damaged or no file of weights"),
    "no weights inside": (["--old", "{}/no_weights.pth", *PLAIN], "holds a dict of lr, names: expected a state dict"),
    "no safetensors": (["--old", "{}/text.safetensors", *PLAIN], "is damaged or no file of weights"),
    "margin without scale": (["--old", "{}/old.pth", *PLAIN, "--old-margin", "0.4"], "margin without a scale"),
    "bias of a cosine head": (["--old", "{}/old.pth", *PLAIN, "--old-scale", "8"], "a cosine head has no bias"),
    "features without labels": (["--old", "{}/old.npy", "--method", "bct"], "expected --old-labels"),
    "too few labels": ([*FEATURES, "--old-labels", "{}/few_labels.txt"], "few_labels.txt has 4 lines: expected 6"),
    "NaN features": ([*FEATURES, "--old", "{}/nan.npy"], "nan.npy: row 2 holds NaN"),
    "zero features": ([*FEATURES, "--old", "{}/zero.npy"], "those of class 'red disc' are zero or cancel"),
    "flat features": ([*FEATURES, "--old", "{}/flat.npy"], "expected two dimensions"),
    "no class in common": ([*FEATURES, "--data", "{}/strangers"], "bct has nothing to bind"),
    "kd on features": ([*FEATURES, "--method", "bct-kd"], "only features of it are left: expected bct or bct-sys"),
    "l2 on features": ([*FEATURES, "--method", "l2"], "method l2 must run the old network"),
    "lwf on features": ([*FEATURES, "--method", "lwf"], "method lwf must run the old network"),
    "sys on uncovered classes": (
        [*FEATURES, "--method", "bct-sys", "--old-labels", "{}/two_labels.txt"],
        "must run the old network on the 1 classes without old features, and only features of it are left",
    ),
    "map of an unknown class": (
        [*FEATURES, "--class-map", "{}/map_unknown.txt"],
        "renames 'nobody', which is no class",
    ),
    "map without two fields": (
        [*FEATURES, "--class-map", "{}/map_fields.txt"],
        "line 1: expected an old and a new name",
    ),
    "map of two onto one": (
        [*FEATURES, "--class-map", "{}/map_same.txt"],
        "gives two classes of the old model the name",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_of_train_gets_its_sentence(own, tmp_path, capsys, case):
    given, sentence = CASES[case]
    base = ["--data", "{}/photos", "--out", str(tmp_path / "new.safetensors"), "--backbone", "rehearsal-net"]
    base += ["--dim", "16", "--epochs", "1", "--batch", "8", "--image-size", "32", "--workers", "0", "--device", "cpu"]
    if "--old" not in given and "--method" not in given:
        base += ["--method", "independent"]
    assert sentence in refused(capsys, train, *options_of(own, base + given))
    assert not any(tmp_path.glob("*.safetensors*")), "nothing is written"
    assert not (own / "pwned").exists(), "nothing was executed"


def test_several_processes_are_refused(own, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = refused(
        capsys, train, "--data", own / "photos", "--method", "independent", "--out", tmp_path / "a.safetensors"
    )
    assert "is trained by one process, but torchrun started several" in said


def test_bad_inputs_of_embed(own, tmp_path, capsys):
    good = ["--images", own / "photos", "--out", tmp_path / "f.npy", "--device", "cpu", "--workers", "0"]
    plain = ["--model", own / "old.pth", "--backbone", "custom_images:Classifier", "--classifier", "head.fc.weight"]
    assert "no such file" in refused(capsys, embed, "--model", own / "gone.safetensors", *good).lower()
    assert "expected --backbone" in refused(capsys, embed, "--model", own / "old.pth", *good)
    assert "ends in .npy" in refused(capsys, embed, *plain, *good, "--out", tmp_path / "f.txt")
    assert "--for-old-gallery applies only to a bctlib model" in refused(
        capsys, embed, *plain, *good, "--for-old-gallery"
    )
    assert "001.png" in refused(capsys, embed, *plain, *good, "--images", own / "damaged")
    (own / "list.txt").write_text("photos/red disc/000.jpg\nphotos/gone.jpg\n")
    assert "line 2: there is no file" in refused(capsys, embed, *plain, *good, "--images", own / "list.txt")
    (own / "mixed.txt").write_text("photos/red disc/000.jpg a\nb\n")
    assert "line 2: expected `path` or `path label`" in refused(
        capsys, embed, *plain, *good, "--images", own / "mixed.txt"
    )
    assert not (tmp_path / "f.npy").exists()


def test_lists_give_rows_in_their_order(own, tmp_path):
    """`path label` lines; a flat folder has paths and no labels; what is embedded is the same image by image."""
    plain = ["--model", own / "old.pth", "--backbone", "custom_images:Classifier", "--classifier", "head.fc"]
    plain += ["--device", "cpu", "--workers", "0", "--image-size", "32"]
    (own / "order.txt").write_text("photos/red disc/001.png second\nphotos/green disc/000.jpg first\n")
    flat = own / "photos" / "red disc"
    for images, out in ((own / "order.txt", "order.npy"), (own / "photos", "all.npy"), (flat, "flat.npy")):
        options = [*plain, "--images", images, "--out", tmp_path / out]
        assert embed.main([str(each) for each in options]) == 0
    every, order, flat_rows = (np.load(tmp_path / name) for name in ("all.npy", "order.npy", "flat.npy"))
    paths = (tmp_path / "all.paths.txt").read_text().splitlines()
    wanted = ("red disc/001.png", "green disc/000.jpg")
    expected = every[[next(row for row, path in enumerate(paths) if path.endswith(end)) for end in wanted]]
    np.testing.assert_allclose(order, expected, rtol=1e-4, atol=1e-5)
    assert (tmp_path / "order.labels.txt").read_text() == "second\nfirst\n"
    assert not (tmp_path / "flat.labels.txt").exists() and len(flat_rows) == 4
    again = [*plain, "--images", tmp_path / "all.paths.txt", "--out", tmp_path / "again.npy"]
    assert embed.main([str(each) for each in again]) == 0, "a list of paths that was written can be embedded again"
    np.testing.assert_allclose(np.load(tmp_path / "again.npy"), every, rtol=1e-4, atol=1e-5)


def test_embedding_that_was_interrupted_goes_on(own, tmp_path, monkeypatch, capsys):
    options = ["--model", own / "old.pth", "--backbone", "custom_images:Classifier", "--classifier", "head.fc"]
    options += ["--images", own / "photos", "--device", "cpu", "--workers", "0", "--batch", "5", "--image-size", "32"]
    options = [str(each) for each in options]
    whole = feature_file.embedded_batches

    def interrupted(*arguments):
        yield next(whole(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_file, "_SAVE_S", -1.0)
    monkeypatch.setattr(feature_file, "embedded_batches", interrupted)
    assert embed.main([*options, "--out", str(tmp_path / "f.npy")]) == 130
    assert not (tmp_path / "f.npy").exists()
    monkeypatch.setattr(feature_file, "embedded_batches", whole)
    assert embed.main([*options, "--out", str(tmp_path / "f.npy")]) == 0
    assert "resuming at image 6 of 12" in capsys.readouterr().err
    assert embed.main([*options, "--out", str(tmp_path / "g.npy")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "f.npy"), np.load(tmp_path / "g.npy"), rtol=1e-4, atol=1e-5)
    assert {path.name for path in tmp_path.iterdir()} >= {"f.npy", "f.paths.txt", "f.labels.txt"}
    assert not any("partial" in path.name for path in tmp_path.iterdir())


def test_a_model_file_never_chooses_what_code_is_run(own, tmp_path, capsys):
    """Its network is imported only if the user names it; and OUT of another recipe is not written over."""
    out = tmp_path / "new.safetensors"
    base = ["--data", own / "photos", "--method", "independent", "--out", out, "--backbone", "custom_images:small_net"]
    base += ["--dim", "8", "--batch", "8", "--image-size", "32", "--workers", "0", "--device", "cpu", "--epochs"]
    base = [str(each) for each in base]
    assert train.main([*base, "1"]) == 0
    before = out.read_bytes()
    assert train.main([*base, "1"]) == 0 and "is there already" in capsys.readouterr().err
    assert "holds another model" in refused(capsys, train, *base, "2")
    assert out.read_bytes() == before
    images = ["--images", own / "photos", "--out", tmp_path / "f.npy", "--device", "cpu", "--workers", "0"]
    assert "its code is run only if you name it" in refused(capsys, embed, "--model", out, *images)
    missing = "cannot import 'no_such_package:net'"
    with pytest.MonkeyPatch.context() as patch:  # somebody else's model, whose code is not here
        patch.setattr("bctlib.training.artefact._check_network", lambda *arguments: None)
        patch.setattr(
            "bctlib.training.artefact.build_backbone", lambda *arguments: call_factory("no_such_package:net", 8)
        )
        said = refused(capsys, embed, "--model", out, *images)
    assert missing in said and "not a model" not in said
    assert "custom_images:only_64 was given" in refused(
        capsys, embed, "--model", out, *images, "--backbone", "custom_images:only_64"
    )
    assert "leave out --for-old-gallery" in refused(
        capsys, embed, "--model", out, *images, "--backbone", "custom_images:small_net", "--for-old-gallery"
    )


def test_weights_are_read_in_the_forms_people_save_them(own, tmp_path):
    weights = read_weights(own / "old.pth")
    save_file(weights, tmp_path / "old.safetensors")
    torch.save({"model": {f"_orig_mod.{k}": v for k, v in weights.items()}, "epoch": 3}, tmp_path / "checkpoint.pt")
    for form in ("old.safetensors", "checkpoint.pt"):
        found = read_weights(tmp_path / form)
        assert found.keys() == weights.keys() and all(torch.equal(found[k], weights[k]) for k in weights)
    np.save(tmp_path / "rows.npy", weights["head.fc.weight"].numpy())
    torch.save({"weight": weights["head.fc.weight"], "bias": weights["head.fc.bias"]}, tmp_path / "rows.pt")
    torch.save(weights["head.fc.weight"], tmp_path / "alone.pt")
    for form, with_bias in (("rows.npy", False), ("rows.pt", True), ("alone.pt", False)):
        rows, bias = read_classifier(tmp_path / form)
        assert torch.equal(rows, weights["head.fc.weight"]) and (bias is not None) == with_bias
