"""The pages for people with data, models and loops of their own: every Python block is executed."""

import functools
import shlex

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from custom_images import CLASSES, net_with_dim, tensors, train_plainly, write_images
from pages import blocks
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bctlib.losses import CosineMargin, NormSoftmax, SoftMax, class_means, frozen_head, head_of_features
from bctlib.methods import distillation_loss, influence_loss
from bctlib.upgrade import embed
from bctlib.upgrade.train import command as train

IN_PYTHON, *LOOPS = blocks("docs/training.md", "python")


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """What somebody with a loop has: a loader, an old network with its classifier, names of old and new classes."""
    photos = write_images(tmp_path_factory.mktemp("loop") / "photos", CLASSES[:4], 8)
    images, labels, names = tensors(photos)
    torch.manual_seed(0)
    old_net, classifier = net_with_dim(32), nn.Linear(32, 3)
    old_names = [names[2], "gone", names[0]]
    known = torch.tensor([2, -1, 0, -1])[labels]
    train_plainly(nn.Sequential(old_net, classifier), images[known >= 0], known[known >= 0], epochs=6, rate=0.02)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    shuffled = TensorDataset(images[order].repeat(6, 1, 1, 1), labels[order].repeat(6))
    loader = DataLoader(shuffled, batch_size=16)
    with torch.no_grad():
        old_features = torch.cat([old_net(images[known >= 0]), torch.randn(4, 32)])
    old_feature_labels = torch.cat([known[known >= 0], torch.ones(4, dtype=torch.int64)])
    return {
        "torch": torch, "loader": loader, "net": net_with_dim(128), "old_net": old_net, "old_names": old_names,
        "new_names": names, "old_weight": classifier.weight.detach().clone(), "old_features": old_features,
        "old_feature_labels": old_feature_labels, "epochs": 1, "photos": photos,
    }  # fmt: skip


def test_every_loop_of_the_page_runs_and_binds(loop, tmp_path, monkeypatch):
    """The blocks in order, as a reader would paste them; the bound part of the loss falls, old parts stay."""
    space = dict(loop)
    before = [p.clone() for p in space["old_net"].parameters()]
    monkeypatch.chdir(tmp_path)  # where Lightning writes its own checkpoints
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    plain, synthesised, module, lightning, timm = LOOPS

    def influence(net, head, labels):
        images, targets = space["loader"].dataset[:16]
        with torch.no_grad():
            return float(influence_loss(net(images), labels[targets], head))

    untrained = net_with_dim(128)
    exec(plain, space)
    assert space["old_labels"].tolist() == [2, -1, 0, -1], "names tie classes"
    assert influence(space["net"], space["old_head"], space["old_labels"]) < influence(
        untrained, space["old_head"], space["old_labels"]
    )
    exec(synthesised, space)
    assert space["all_labels"].tolist() == [2, 3, 0, 4] and space["all_head"].classes == 5
    assert isinstance(space["net"].fc, nn.Linear) and torch.isfinite(space["loss"])
    assert_the_pages_line_embeds(space, "new.pth")
    exec(module, space)
    z = torch.randn(4, 128, requires_grad=True)
    loss = space["loss_fn"](z, torch.arange(4))
    expected = space["head"].loss(z, torch.arange(4)) + influence_loss(
        z, torch.tensor([2, -1, 0, -1]), space["loss_fn"].old_head
    )
    torch.testing.assert_close(loss, expected)
    assert {id(p) for p in space["loss_fn"].parameters() if p.requires_grad} == {id(space["head"].weight)}
    for block in (lightning, timm):
        weight, old_weight = space["head"].weight.detach().clone(), space["loss_fn"].old_head.weight.clone()
        exec(block, space)
        assert not torch.equal(space["head"].weight, weight), "the new head is trained along"
        assert torch.equal(space["loss_fn"].old_head.weight, old_weight)
        if block is lightning:
            assert_the_pages_line_embeds(space, str(next(tmp_path.glob("lightning_logs/**/*.ckpt"))))
    assert space["trainer"].global_step == len(space["loader"])
    assert all(torch.equal(old, p) for old, p in zip(before, space["old_net"].parameters(), strict=True))
    assert torch.equal(space["old_head"].weight, loop["old_weight"]), "the old classifier is frozen"


def assert_the_pages_line_embeds(space: dict, model: str) -> None:
    """The page's command, with that model and the images of the test, writes what the network emits."""
    _, line = blocks("docs/training.md", "bash")
    options = shlex.split(line)[2:]
    for name, value in {"--model": model, "--image-size": "32", "--images": str(space["photos"])}.items():
        options[options.index(name) + 1] = value
    options += ["--mean", *["0.5"] * 3, "--std", *["0.5"] * 3, "--workers", "0", "--device", "cpu"]
    assert embed.main(options) == 0
    net = space["net"].eval()
    with torch.no_grad():
        expected = net(tensors(space["photos"])[0]).numpy()
    net.train()
    np.testing.assert_allclose(np.load("new.npy"), expected, rtol=1e-3, atol=1e-3)


def test_the_loss_of_the_front_page(loop):
    """The old head's loss on old classes is added to the new head's own."""
    (block,) = blocks("README.md", "python")
    labels = torch.arange(4)
    z, old_labels = torch.randn(4, 128), torch.tensor([2, -1, 0, -1])
    head = CosineMargin(4, dim=128, scale=32, margin=0.4)
    space = {"old_weight": loop["old_weight"], "z": z, "labels": labels, "old_labels": old_labels, "head": head}
    exec(block, space)
    old_head = frozen_head(loop["old_weight"], scale=32, margin=0.4)
    torch.testing.assert_close(space["loss"], head.loss(z, labels) + influence_loss(z, old_labels, old_head))


def test_training_in_python(tmp_path, monkeypatch):
    """As the page has it, in one epoch of small images."""
    write_images(tmp_path / "photos", CLASSES[:3], 6)
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / "old.pth")
    (tmp_path / "classes.txt").write_text("\n".join((*CLASSES[:2], "gone")) + "\n")
    small = functools.partial(train.train_new_model, epochs=1, batch=8, image_size=(32, 32), workers=0)
    monkeypatch.setattr(train, "train_new_model", small)
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "__main__"}
    exec(IN_PYTHON, space)
    assert (tmp_path / "v2.safetensors").is_file() and len(space["model"].classes) == 3


def test_influence_and_distillation_by_hand():
    old_head = frozen_head(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), bias=torch.tensor([0.5, 0.0]))
    z = torch.tensor([[2.0, 1.0, 9.0], [0.0, 3.0, -9.0], [5.0, 5.0, 5.0]])
    logits = torch.tensor([[2.5, 1.0], [0.5, 3.0]])
    first, second = -F.log_softmax(logits, dim=1)[[0, 1], [0, 1]]
    torch.testing.assert_close(influence_loss(z, torch.tensor([0, 1, -1]), old_head), (first + second) / 3)
    old = torch.tensor([[1.0, 0.0]])
    target = F.softmax(torch.tensor([1.5, 0.0]), dim=0)
    expected = -(target * F.log_softmax(logits[0], dim=0)).sum()
    torch.testing.assert_close(distillation_loss(z[:1], old, old_head), expected)
    torch.testing.assert_close(distillation_loss(z[:1], old, old_head, images=4), expected / 4)


def test_a_frozen_head_has_the_kind_that_its_settings_say():
    weight = torch.randn(4, 3)
    kinds = ((frozen_head(weight), SoftMax), (frozen_head(weight, scale=8.0), NormSoftmax))
    for head, kind in (*kinds, (frozen_head(weight, scale=8.0, margin=0.2), CosineMargin)):
        assert type(head) is kind and torch.equal(head.weight, weight) and not head.weight.requires_grad
        assert not head.training
    assert frozen_head(weight, scale=8.0, margin=0.2).settings() == {"scale": 8.0, "margin": 0.2}


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.uint64, list, torch.int32])
def test_labels_of_old_features_may_be_of_any_integer_type(kind):
    features, numbers = np.array([[2.0, 0.0], [0.0, 5.0], [3.0, 4.0]]), [0, 0, 1]
    labels = torch.tensor(numbers, dtype=kind) if isinstance(kind, torch.dtype) else kind(numbers)
    head = head_of_features(features, labels)
    torch.testing.assert_close(head.weight.data, torch.tensor([[0.5, 0.5], [0.6, 0.8]]))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([1, 2, 2], "2 different ones from 1 to 2, expected 0 to 1: number the classes from 0 on and leave none out"),
        (np.array([0, 3, 3]), "2 different ones from 0 to 3, expected 0 to 1: "),
        (torch.tensor([-1, 0, 1]), "3 different ones from -1 to 1, expected 0 to 2: "),
        (np.array([0.0, 1.0, 1.0]), r"float64 of shape \[3\], expected an integer for each of the 3 rows"),
        (torch.tensor([0, 1]), r"int64 of shape \[2\], expected an integer for each of the 3 rows"),
        (["a", "b", "b"], r"<U1 of shape \[3\], expected an integer"),
        (torch.tensor([[0, 1, 1]]), r"int64 of shape \[1, 3\], expected an integer"),
    ],
)
def test_labels_of_old_features_that_are_no_classes_are_refused(labels, said):
    with pytest.raises(ValueError, match=f"^labels of old features: {said}"):
        head_of_features(torch.ones(3, 2), labels)
    with pytest.raises(ValueError, match=r"old features: have the shape \[3\], expected"):
        head_of_features(torch.ones(3), [0, 1, 2])


def test_class_means_are_means_of_unit_features():
    features = torch.tensor([[2.0, 0.0], [0.0, 5.0], [3.0, 4.0]])
    labels = torch.tensor([0, 0, 1])
    head = head_of_features(features, labels)
    torch.testing.assert_close(head.weight.data, torch.tensor([[0.5, 0.5], [0.6, 0.8]]))
    halves = [(features[:1], labels[:1]), (features[1:], labels[1:])]
    torch.testing.assert_close(
        class_means(halves, 3, 2, torch.device("cpu")), torch.cat([head.weight, torch.zeros(1, 2)])
    )
