"""Weights as people have them: the network's output is embedded, or the sentence says what the file is."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from custom_images import CLASSES, Classifier, net_with_dim, small_net, tensors, write_images
from safetensors.torch import save_file
from torch import nn

from bctlib.base.errors import BctError, UsageError
from bctlib.base.foreign_networks import build_custom
from bctlib.upgrade import embed
from bctlib.upgrade.train.old_models import old_from_weights
from bctlib.upgrade.train.plain_weights import read_classifier, read_weights
from bctlib.upgrade.train.weights_network import network_of_weights

HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
IMAGES = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


def saved(path: Path, found) -> Path:
    torch.save(found, path)
    return path


def prefixed(weights: dict, prefix: str) -> dict:
    return {prefix + name: each for name, each in weights.items()}


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier().eval()


def embedded(path: Path, backbone: str = "custom_images:Classifier", key: str | None = "head.fc") -> torch.Tensor:
    return network_of_weights(path, backbone, key, (32, 32), **HALF).embed(IMAGES)


def expected(net: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return net(IMAGES)


def test_a_last_layer_that_emits_the_embedding_is_kept_where_the_user_says_so(tmp_path, monkeypatch, capsys):
    """The README's loop: resnet18(num_classes=d). Without a word about its last layer nothing is written."""
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    write_images(tmp_path / "photos", CLASSES[:2], 2)
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=16).eval()
    options = ["--model", saved(tmp_path / "loop.pth", net.state_dict()), "--backbone", "resnet18", "--images",
               tmp_path / "photos", "--image-size", "32", "--mean", *["0.5"] * 3, "--std", *["0.5"] * 3,
               "--device", "cpu", "--workers", "0", "--out", tmp_path / "new.npy"]  # fmt: skip
    options = [str(each) for each in options]
    assert embed.main(options) == 2 and not (tmp_path / "new.npy").exists()
    said = capsys.readouterr().err
    assert "is its last layer fc a classifier, or does it emit the embedding?" in said
    assert "--classifier fc (removed: embeddings of 512 elements) or --classifier none (kept: 16)" in said
    assert embed.main([*options, "--classifier", "none"]) == 0
    assert "no layer was removed; the embedding has 16 elements" in capsys.readouterr().err
    with torch.no_grad():
        wanted = net(tensors(tmp_path / "photos")[0]).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "new.npy"), wanted, rtol=1e-3, atol=1e-4)
    assert embed.main([*options, "--classifier", "fc"]) == 0
    assert "fc (16 x 512) was removed as its classifier; the embedding has 512" in capsys.readouterr().err
    assert np.load(tmp_path / "new.npy").shape == (4, 512)


def test_plain_weights_are_told_the_size_that_they_get(tmp_path, monkeypatch, capsys):
    write_images(tmp_path / "photos", CLASSES[:1], 1)
    path = saved(tmp_path / "old.pth", classifier().state_dict())
    options = ["--model", str(path), "--backbone", "custom_images:Classifier", "--classifier", "head.fc"]
    options += ["--images", str(tmp_path / "photos"), "--device", "cpu", "--workers", "0"]
    options += ["--out", str(tmp_path / "f.npy")]
    assert embed.main(options) == 0
    assert "no --image-size was given, images are resized to 112 x 112" in capsys.readouterr().err
    assert embed.main([*options, "--image-size", "32"]) == 0
    assert "no --image-size" not in capsys.readouterr().err
    old_from_weights(path, "custom_images:Classifier", None, "head.fc")
    assert "no image size was given, its network sees the images in the new model's size" in capsys.readouterr().err


def test_a_network_without_any_classifier(tmp_path, capsys):
    """Of torchvision without its last layer; of a factory that is called with the embedding's width, or without."""
    torch.manual_seed(0)
    net = torchvision.models.resnet18().eval()
    net.fc = nn.Identity()
    path = saved(tmp_path / "trunk.pth", net.state_dict())
    for key in (None, "none"):
        torch.testing.assert_close(embedded(path, "resnet18", key), expected(net))
        assert "fc was removed because its weights are missing; the embedding has 512" in capsys.readouterr().err
    narrow = net_with_dim(24).eval()
    torch.testing.assert_close(
        embedded(saved(tmp_path / "dim.pth", narrow.state_dict()), "custom_images:net_with_dim", "none"),
        expected(narrow),
    )
    maps = small_net().eval()
    found = embedded(saved(tmp_path / "maps.pth", maps.state_dict()), "custom_images:small_net", "none")
    torch.testing.assert_close(found, expected(maps).mean((2, 3)))
    with pytest.raises(
        UsageError, match="does its network have a classifier. expected --classifier none.*one of: head.fc"
    ):
        embedded(saved(tmp_path / "own.pth", classifier().state_dict()), key=None)


def test_classifiers_of_torchvision_with_more_than_one_answer(tmp_path, capsys):
    """googlenet and inception_v3 answer twice in training; squeezenet has no linear layer, and the sentence says so."""
    for name, side in (("googlenet", 32), ("inception_v3", 80)):
        net = build_custom(f"{name}@{side}x{side}", 8).train()
        assert net(torch.zeros(2, 3, side, side)).shape == (2, 8)
    torch.manual_seed(0)
    net = torchvision.models.googlenet(num_classes=5, init_weights=False).eval()
    path = saved(tmp_path / "googlenet.pth", net.state_dict())
    torch.testing.assert_close(embedded(path, "googlenet", "none"), expected(net))
    said = capsys.readouterr().err
    assert "googlenet without aux1 and aux2 and without transform_input" in said and "give 0.5 as mean and std" in said
    with pytest.raises(BctError, match="squeezenet1_0 has no linear layer as its classifier.*is a convolution"):
        build_custom("squeezenet1_0@64x64", 8)


def test_an_old_model_without_a_classifier_is_sent_to_its_features(tmp_path):
    with pytest.raises(UsageError, match="embed images of its classes by it .bctlib embed --classifier none."):
        old_from_weights(tmp_path / "old.pth", "resnet18", None, "none")


@pytest.mark.parametrize(
    "prefix",
    ["_orig_mod.module.", "module._orig_mod.", "module.module.", "_orig_mod._orig_mod.", "net.", "model.",
     "net.module.", "module.model._orig_mod.", "lightning.net._fsdp_wrapped_module."],
)  # fmt: skip
def test_prefixes_are_dropped_until_none_is_left(tmp_path, prefix):
    net = classifier()
    path = saved(tmp_path / "old.pth", {"model": {"state_dict": prefixed(net.state_dict(), prefix)}})
    torch.testing.assert_close(embedded(path), expected(net.trunk))
    torch.testing.assert_close(embedded(path, key="none"), expected(net))


def test_a_lightning_checkpoint_with_a_loss_of_its_own(tmp_path, capsys):
    """As the README's Compatible module saves it: net.* and loss_fn.*, whose head may be the classifier."""
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=16).eval()
    rows = torch.randn(4, 16)
    loss = {"loss_fn.head.weight": rows, "loss_fn.old_labels": torch.arange(4)}
    path = saved(tmp_path / "last.ckpt", {"epoch": 1, "state_dict": {**prefixed(net.state_dict(), "net."), **loss}})
    torch.testing.assert_close(embedded(path, "resnet18", "none"), expected(net))
    assert "the network consists of the weights net.*; ignored: loss_fn (2 tensors)" in capsys.readouterr().err
    old = old_from_weights(path, "resnet18", None, "loss_fn.head.weight", scale=8.0, image_size=(32, 32), **HALF)
    torch.testing.assert_close(old.model.embed(IMAGES), expected(net))
    assert torch.equal(old.model.head.weight, rows)


def test_one_of_two_networks_is_not_guessed(tmp_path):
    weights = classifier().state_dict()
    other = {name: each + 1 for name, each in weights.items()}
    both = {**prefixed(weights, "student."), **prefixed(other, "teacher.")}
    with pytest.raises(
        BctError, match=r"holds the network as student\.\* and as teacher\.\*: expected a file with one"
    ):
        embedded(saved(tmp_path / "two.pth", both))
    twice = {**prefixed(weights, "net."), **prefixed(weights, "compiled._orig_mod.")}
    torch.testing.assert_close(embedded(saved(tmp_path / "twice.pth", twice)), expected(classifier().trunk))


def test_tensors_of_every_form_are_read(tmp_path):
    """float8, half, sparse and quantised ones are what they stand for."""
    net = classifier()
    weights = net.state_dict()
    forms = {
        "sparse": lambda w: w.to_sparse() if w.dim() == 2 else w,
        "csr": lambda w: w.to_sparse_csr() if w.dim() == 2 else w,
        "quantised": lambda w: torch.quantize_per_tensor(w, 0.01, 0, torch.qint8) if w.dim() == 2 else w,
        "half": lambda w: w.half() if w.is_floating_point() else w,
        "parameters": lambda w: nn.Parameter(w) if w.is_floating_point() else w,
    }
    for form, change in forms.items():
        with warnings.catch_warnings(action="ignore"):  # sparse ones are in beta, quantised ones deprecated
            changed = {name: change(each) for name, each in weights.items()}
        found = read_weights(saved(tmp_path / f"{form}.pth", changed))
        for name, each in weights.items():
            tolerance = {"quantised": 0.006, "half": 1e-3}.get(form, 0)
            torch.testing.assert_close(found[name].float(), each.float(), rtol=0, atol=tolerance)
    eighth = {name: w.to(torch.float8_e4m3fn) if w.is_floating_point() else w for name, w in weights.items()}
    for path in (tmp_path / "fp8.safetensors", tmp_path / "fp8.pth"):
        save_file(eighth, path) if path.suffix == ".safetensors" else torch.save(eighth, path)
        found = read_weights(path)
        assert all(torch.equal(found[name].float(), each.float()) for name, each in eighth.items())
        assert torch.isfinite(embedded(path)).all()


def test_a_huge_shape_in_a_few_bytes_is_refused_before_it_takes_memory(tmp_path):
    """Sparse tensors, and expanded ones, claim any shape; so do many small claims together, and a classifier's file."""
    with warnings.catch_warnings(action="ignore"):
        forms = {
            "sparse": torch.sparse_coo_tensor([[0], [1]], [1.0], (10**6, 10**7)),
            "csr": torch.sparse_csr_tensor(torch.zeros(1001, dtype=torch.int64), [], [], (1000, 10**10)),
            "expanded": torch.ones(1).expand(10**6, 10**7),
        }
        many = {f"{i}.weight": torch.sparse_coo_tensor([[0], [1]], [1.0], (2000, 10**5)) for i in range(5)}
    for form, tensor in forms.items():
        saved(tmp_path / f"{form}.pth", {"fc.weight": tensor})
        for read in (read_weights, read_classifier):
            with pytest.raises(BctError, match=f"{form}.pth: fc.weight has the shape .*40,000.0 GB, but the file has"):
                read(tmp_path / f"{form}.pth")
    with pytest.raises(BctError, match="0.weight has the shape .*4.0 GB.*expected weights saved as dense tensors"):
        read_weights(saved(tmp_path / "many.pth", many))
    with pytest.raises(BctError, match="alone.pth: its tensor has the shape"):
        read_classifier(saved(tmp_path / "alone.pth", forms["sparse"]))


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        (torch.empty(3, 32, device="meta"), "head.fc.weight is a meta tensor, a shape without values: expected"),
        (torch.ones(3, 32, dtype=torch.complex64), "head.fc.weight holds complex numbers"),
        (torch.full((3, 32), torch.nan).to(torch.float8_e5m2), "head.fc.weight holds NaN or infinite values"),
        (
            torch.ones(3, 32, dtype=torch.int8),
            "head.fc.weight holds integers .torch.int8.: expected the weights as real",
        ),
    ],
    ids=["meta", "complex", "NaN in float8", "integers"],
)
def test_tensors_that_are_no_weights_are_named(tmp_path, weight, sentence):
    path = saved(tmp_path / "old.pth", classifier().state_dict() | {"head.fc.weight": weight})
    with pytest.raises(BctError, match=sentence):
        embedded(path, key="none")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mean", (123.675, 116.28, 103.53)), ("mean", (0.5,)), ("mean", (float("nan"),) * 3), ("mean", ("a",) * 3),
        ("std", (58.395, 57.12, 57.375)), ("std", (0, 0, 0)), ("std", (float("inf"),) * 3), ("std", (-1, 1, 1)),
    ],
)  # fmt: skip
def test_a_normalisation_that_no_pixels_have_is_refused(tmp_path, name, values):
    path = saved(tmp_path / "w.pth", classifier().state_dict())
    with pytest.raises(UsageError, match=f"^{name} is .*: expected three numbers .*, of pixels from 0 to 1; divide"):
        network_of_weights(path, "custom_images:Classifier", "head.fc", (32, 32), **{name: values})


def test_weights_that_a_checkpoint_holds_beside_those_taken_are_named(tmp_path, capsys):
    net = classifier()
    other = {name: each + 1 for name, each in net.state_dict().items()}
    found = {"model": net.state_dict(), "model_ema": other, "optimizer": {"state": {}}, "epoch": 3}
    assert torch.allclose(embedded(saved(tmp_path / "w.pth", found)), expected(net.trunk), atol=1e-5)
    assert "w.pth: the weights are what is named model; left out: model_ema\n" in capsys.readouterr().err


def test_a_vector_is_no_classifier(tmp_path):
    path = saved(tmp_path / "w.pth", classifier().state_dict())
    with pytest.raises(BctError, match=r"w.pth: head.fc.bias is a vector \(3\): expected the key of .* head.fc.weight"):
        embedded(path, key="head.fc.bias")
