"""From somebody's images and old ResNet-18 to a compatible model: the three forms of OLD, embeddings, search."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from custom_images import CLASSES, tensors, train_plainly, write_images

from bctlib.base.locations import PROJECT
from bctlib.training.artefact import load_artefact
from bctlib.upgrade import embed
from bctlib.upgrade.evaluate import command as evaluate
from bctlib.upgrade.train import command as train
from bctlib.upgrade.train.old_models import old_from_weights

OLD_CLASSES, NEW_CLASSES = CLASSES[:9], CLASSES[1:12]
FAST = ["--epochs", "3", "--batch", "32", "--rate", "0.05", "--workers", "0", "--device", "cpu", "--image-size", "32",
        "--scale", "8", "--margin", "0.1"]  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Images, and an old ResNet-18 that plain PyTorch has trained on 9 classes: weights, features, labels."""
    root = tmp_path_factory.mktemp("own")
    patch = pytest.MonkeyPatch()
    patch.setenv("BCT_STORE", str(root / "store"))
    patch.syspath_prepend(str(Path(__file__).parents[2] / "helpers"))
    write_images(root / "old_images", OLD_CLASSES, 12)
    write_images(root / "photos", NEW_CLASSES, 12, first_seed=100)
    write_images(root / "gallery", CLASSES[:12], 3, first_seed=200)
    write_images(root / "probes", CLASSES[:12], 3, first_seed=300)
    images, labels, names = tensors(root / "old_images")
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=len(names))
    train_plainly(net, images, labels, epochs=24)
    torch.save({"epoch": 24, "state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, root / "old.pth")
    (root / "classes.txt").write_text("\n".join(names) + "\n")
    net.fc = torch.nn.Identity()
    with torch.no_grad():
        np.save(root / "old.npy", net(images).numpy())
        np.save(root / "old_gallery_plain.npy", net(tensors(root / "gallery")[0]).numpy())
    (root / "labels.txt").write_text("".join(f"{names[i]}\n" for i in labels))
    yield root
    patch.undo()


def plain_options(own):
    return ["--old", str(own / "old.pth"), "--old-backbone", "resnet18", "--old-classes", str(own / "classes.txt"),
            "--old-mean", "0.5", "0.5", "0.5", "--old-std", "0.5", "0.5", "0.5"]  # fmt: skip


@pytest.fixture(scope="module")
def from_weights(own):
    """A new model of a user's own network, against the plain state dict."""
    out = own / "from_weights.safetensors"
    options = ["--data", str(own / "photos"), "--out", str(out), *FAST, "--backbone", "custom_images:small_net"]
    assert train.main([*options, *plain_options(own), "--method", "bct-sys", "--epochs", "24"]) == 0
    return out


@pytest.fixture(scope="module")
def features(own, from_weights):
    """The old model's features of gallery and probes, from its plain weights, and the new one's of the probes."""
    plain = ["--backbone", "resnet18", "--classifier", "fc", "--image-size", "32"]
    plain += ["--mean", *["0.5"] * 3, "--std", *["0.5"] * 3]
    for part in ("gallery", "probes"):
        common = ["--images", str(own / part), "--workers", "0", "--device", "cpu", "--out"]
        old, new = str(own / f"old_{part}.npy"), str(own / f"new_{part}.npy")
        assert embed.main(["--model", str(own / "old.pth"), *plain, *common, old]) == 0
        assert embed.main(["--model", str(from_weights), "--backbone", "custom_images:small_net", *common, new]) == 0
    return own


def test_plain_weights_are_the_old_network(features):
    """Embedded by the command and by plain PyTorch: the same numbers, image by image."""
    found, expected = np.load(features / "old_gallery.npy"), np.load(features / "old_gallery_plain.npy")
    assert found.shape == (36, 512) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    labels = (features / "old_gallery.labels.txt").read_text().splitlines()
    paths = (features / "old_gallery.paths.txt").read_text().splitlines()
    assert labels == [name for name in sorted(CLASSES[:12]) for _ in range(3)]
    assert [Path(path).parent.name for path in paths] == labels
    assert all((features / path).is_file() for path in paths), "from the folder of the list"


def test_the_new_model_is_a_model_file_and_says_what_it_is(from_weights):
    model = load_artefact(from_weights, "custom_images:small_net")
    assert model.recipe.backbone == "custom_images:small_net@32x32" and model.image_size == (32, 32)
    assert model.classes == tuple(sorted(NEW_CLASSES)) and model.dim == 512, "as wide as the old one by default"
    assert model.recipe.old and model.recipe.options == {"lam": 1.0} and len(model.training.losses) == 24
    assert model.training.losses[-1] < model.training.losses[0]


def test_new_queries_find_old_gallery(features, capsys):
    """`bctlib evaluate search` reads the outputs; the new model searches the old gallery far better than chance."""
    paths = {name: str(features / f"{name}.npy") for name in ("new_probes", "old_gallery", "old_probes", "new_gallery")}
    code = evaluate.main([
        "search", "--query-features", paths["new_probes"], "--gallery-features", paths["old_gallery"],
        "--query-ids", str(features / "new_probes.labels.txt"), "--gallery-ids",
        str(features / "old_gallery.labels.txt"), "--old-query-features", paths["old_probes"],
        "--new-gallery-features", paths["new_gallery"],
    ])  # fmt: skip
    assert code == 0 and "rank-1" in capsys.readouterr().out
    assert rank_one(features / "new_probes.npy", features / "old_gallery.npy") > 4 / 12, "chance is 1 in 12"


def rank_one(query: Path, gallery: Path) -> float:
    """Share of probes whose nearest gallery image is of their class."""
    q, g = (np.load(path) for path in (query, gallery))
    best = ((q / np.linalg.norm(q, axis=1, keepdims=True)) @ (g / np.linalg.norm(g, axis=1, keepdims=True)).T).argmax(1)
    return float(np.mean(best // 3 == np.arange(36) // 3))


def test_against_a_model_file_with_renamed_classes(own, from_weights, capsys):
    """OLD is one of ours; its model serves for the next update, and its classes may have been renamed."""
    old_name, new_name = sorted(NEW_CLASSES)[0], "renamed class"
    (own / "photos" / old_name).rename(own / "photos" / new_name)
    (own / "map.txt").write_text(f"{old_name}\t{new_name}\n")
    options = ["--data", str(own / "photos"), "--out", str(own / "next.safetensors"), *FAST, "--epochs", "1"]
    against = ["--old", str(from_weights), "--old-backbone", "custom_images:small_net", "--backbone", "rehearsal-net"]
    try:
        assert train.main([*options, *against, "--method", "bct-kd", "--class-map", str(own / "map.txt")]) == 0
        assert "11 classes in both, 0 only old, 0 only new" in capsys.readouterr().err
        again = [*options, *against, "--method", "bct", "--out", str(own / "unmapped.safetensors")]
        assert train.main(again) == 0
        assert "10 classes in both, 1 only old, 1 only new" in capsys.readouterr().err
    finally:
        (own / "photos" / new_name).rename(own / "photos" / old_name)
    old = load_artefact(from_weights, "custom_images:small_net")
    assert load_artefact(own / "next.safetensors").recipe.old == old.recipe.key


def test_against_features_alone(own, capsys):
    """The old network is gone: its features and their classes make the classifier."""
    from bctlib.upgrade.train.command import old_from_features, train_new_model

    old = old_from_features(own / "old.npy", own / "labels.txt", scale=8, margin=0.1)
    assert old.model.head.classes == 9 and not old.has_network
    model = train_new_model(
        own / "photos", own / "from_features.safetensors", old=old, method="bct", backbone="rehearsal-net",
        epochs=1, batch=32, image_size=(32, 32), workers=0, device="cpu",
    )  # fmt: skip
    said = capsys.readouterr().err
    assert "8 classes in both, 1 only old, 3 only new" in said and "about 0:" in said
    assert model.as_old().dim == 512 and (own / "from_features.safetensors").exists()
    rows = old.model.head.weight
    unit = torch.nn.functional.normalize(torch.from_numpy(np.load(own / "old.npy"))[:12])
    torch.testing.assert_close(rows[0], unit.mean(0), msg="mean of unit features, not normalised again (Sec. 2.5)")


def test_paths_stand_for_labels(own):
    from bctlib.upgrade.train.command import old_from_features

    images = sorted((own / "old_images").glob("*/*"), key=lambda path: (path.parent.name, path.name))
    (own / "paths.txt").write_text("".join(f"{path}\n" for path in images))
    by_path, by_name = (old_from_features(own / "old.npy", own / f"{kind}.txt") for kind in ("paths", "labels"))
    assert by_path.model.classes == by_name.model.classes and by_path.digest == by_name.digest


def test_synthesised_rows_need_no_network_where_features_cover_all_classes(own):
    """bct-sys through features alone: refused for uncovered classes (other test), fine without any."""
    from bctlib.upgrade.train.command import old_from_features, train_new_model

    old = old_from_features(own / "old.npy", own / "labels.txt")
    model = train_new_model(
        own / "old_images", own / "covered.safetensors", old=old, method="bct-sys",
        backbone="custom_images:net_with_dim", epochs=1, batch=32, image_size=(32, 32), workers=0, device="cpu",
    )  # fmt: skip
    assert isinstance(model.backbone.embed, torch.nn.Identity), "the factory took dim and gave the embedding itself"


def test_a_killed_training_goes_on_and_ends_in_the_same_weights(own, tmp_path):
    """Killed after its first epoch and called again, the command gives what it gives undisturbed."""
    common = ["--data", str(own / "old_images"), "--method", "independent", *FAST, "--dim", "8"]
    common += ["--backbone", "rehearsal-net", "--rate", "0.01"]
    code = (
        "import sys, bctlib.upgrade.train.command, bctlib.training.run_state as r\n"
        "end = r.RunState.end_epoch\n"
        "def killed(self):\n    end(self)\n    import os; os._exit(9)\n"
        "r.RunState.end_epoch = killed\n"
        "import torch; torch.set_num_threads(1)\n"
        "bctlib.upgrade.train.command.main(sys.argv[1:])\n"
    )
    cut = [*common, "--out", str(tmp_path / "cut.safetensors")]
    assert subprocess.run([sys.executable, "-c", code, *cut], cwd=PROJECT, capture_output=True).returncode == 9
    assert (tmp_path / "cut.checkpoint").exists() and not (tmp_path / "cut.safetensors").exists()
    assert train.main(cut) == 0
    assert train.main([*common, "--out", str(tmp_path / "whole.safetensors")]) == 0
    assert not (tmp_path / "cut.checkpoint").exists()
    cut_model, whole = (load_artefact(tmp_path / f"{name}.safetensors") for name in ("cut", "whole"))
    for name, tensor in whole.backbone.state_dict().items():
        assert torch.equal(tensor, cut_model.backbone.state_dict()[name]), name
    assert cut_model.training.losses == whole.training.losses


def test_a_wider_model_with_a_map_into_the_old_space(own):
    """--dim above the old one's: bct-map's queries for the old gallery go through its map, of the old width."""
    out = own / "map.safetensors"
    options = ["--data", str(own / "photos"), "--out", str(out), *FAST, "--epochs", "1", "--backbone", "rehearsal-net"]
    against = ["--old", str(own / "old.npy"), "--old-labels", str(own / "labels.txt"), "--method", "bct-map"]
    assert train.main([*options, *against, "--dim", "520"]) == 0
    common = ["--model", str(out), "--images", str(own / "probes"), "--workers", "0", "--device", "cpu", "--out"]
    assert embed.main([*common, str(own / "wide.npy")]) == 0
    assert embed.main([*common, str(own / "mapped.npy"), "--for-old-gallery"]) == 0
    wide, mapped = np.load(own / "wide.npy"), np.load(own / "mapped.npy")
    assert wide.shape == (36, 520) and mapped.shape == (36, 512)
    with torch.no_grad():
        expected = load_artefact(out).transform(torch.from_numpy(wide)).numpy()
    np.testing.assert_allclose(mapped, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("with_own_layer", [True, False], ids=["whole network", "network without its last layer"])
def test_a_classifier_in_a_file_of_its_own_stands_for_the_last_layer(tmp_path, with_own_layer):
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=7).eval()
    weights = net.state_dict()
    torch.save({"weight": weights["fc.weight"], "bias": weights["fc.bias"]}, tmp_path / "rows.pt")
    kept = weights if with_own_layer else {k: w for k, w in weights.items() if not k.startswith("fc.")}
    torch.save(kept, tmp_path / "old.pth")
    old = old_from_weights(
        tmp_path / "old.pth", "resnet18", None, str(tmp_path / "rows.pt"), mean=(0.5,) * 3, std=(0.5,) * 3
    )
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(old.model.head.logits(old.model.embed(images)), net(images))


def test_a_last_layer_that_emits_the_embedding_is_kept_before_a_classifier_in_a_file(tmp_path):
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=16).eval()
    torch.save(net.state_dict(), tmp_path / "old.pth")
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32))
    old = old_from_weights(
        tmp_path / "old.pth", "resnet18", None, str(tmp_path / "rows.npy"), scale=8.0, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(old.model.embed(images), net(images))
    assert old.model.head.classes == 5
