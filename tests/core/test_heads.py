"""Classification heads: values by hand, pytorch-metric-learning as oracle, unlabelled images, added classes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import CosFaceLoss, NormalizedSoftmaxLoss

from bctlib.losses import HEADS, CosineMargin, NormSoftmax, SoftMax, build_head

N, CLASSES, DIM = 7, 5, 4
LABELS = torch.tensor([0, 3, 4, 4, 1, 2, 0])


def embeddings(seed: int = 1) -> torch.Tensor:
    return torch.randn(N, DIM, generator=torch.Generator().manual_seed(seed))


def head_of(kind: str) -> SoftMax | NormSoftmax | CosineMargin:
    settings = {"softmax": {}, "norm-softmax": {"scale": 9.0}, "cosine-margin": {"scale": 9.0, "margin": 0.35}}[kind]
    torch.manual_seed(0)
    head = build_head(kind, CLASSES, DIM, **settings)
    if kind == "softmax":
        with torch.no_grad():
            head.bias.copy_(torch.randn(CLASSES))
    return head


def by_hand(head, z: torch.Tensor, labels: torch.Tensor, margin: bool = True) -> float:
    """Eq. 4 in float64, image by image; the sum is divided by the number of all images."""
    z, w = z.detach().double().numpy(), head.weight.detach().double().numpy()
    total = 0.0
    for row, label in zip(z, labels.tolist(), strict=True):
        if label < 0:
            continue
        if head.kind == "softmax":
            logits = w @ row + head.bias.detach().double().numpy()
        else:
            cosines = w @ row / np.linalg.norm(row) / np.linalg.norm(w, axis=1)
            if head.kind == "cosine-margin" and margin:
                cosines[label] -= head.margin
            logits = head.scale * cosines
        total -= np.log(np.exp(logits[label]) / np.exp(logits).sum())
    return total / len(labels)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("margin", [True, False])
def test_loss_by_hand(kind, margin):
    head, z = head_of(kind), embeddings()
    assert head.loss(z, LABELS, margin=margin).item() == pytest.approx(by_hand(head, z, LABELS, margin), rel=1e-5)


@pytest.mark.parametrize("kind", HEADS)
def test_unlabelled_images_are_ignored_but_counted(kind):
    head, z = head_of(kind), embeddings().requires_grad_()
    labels = LABELS.clone()
    labels[[1, 4]] = -1
    loss = head.loss(z, labels)
    assert loss.item() == pytest.approx(by_hand(head, z, labels), rel=1e-5)
    loss.backward()
    moved = z.grad.abs().sum(1) > 0
    assert moved.tolist() == (labels >= 0).tolist()


@pytest.mark.parametrize("kind", HEADS)
def test_batch_without_any_label_gives_zero_and_zero_gradient(kind):
    head, z = head_of(kind), embeddings().requires_grad_()
    loss = head.loss(z, torch.full((N,), -1))
    loss.backward()
    assert loss.item() == 0
    for gradient in (z.grad, head.weight.grad):
        assert torch.count_nonzero(gradient) == 0


def _gradients(loss: torch.Tensor, *of: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, of))


def test_cosine_margin_against_cosface_of_pytorch_metric_learning():
    head, z = head_of("cosine-margin"), embeddings().requires_grad_()
    oracle = CosFaceLoss(CLASSES, DIM, margin=head.margin, scale=head.scale)
    with torch.no_grad():
        oracle.W.copy_(head.weight.T)
    ours, theirs = head.loss(z, LABELS), oracle(z, LABELS)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    z_ours, w_ours = _gradients(ours, z, head.weight)
    z_theirs, w_theirs = _gradients(theirs, z, oracle.W)
    torch.testing.assert_close(z_ours, z_theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(w_ours, w_theirs.T, rtol=1e-4, atol=1e-5)


def test_norm_softmax_against_pytorch_metric_learning():
    head, z = head_of("norm-softmax"), embeddings().requires_grad_()
    oracle = NormalizedSoftmaxLoss(CLASSES, DIM, temperature=1 / head.scale)
    with torch.no_grad():
        oracle.W.copy_(head.weight.T)
    ours, theirs = head.loss(z, LABELS), oracle(z, LABELS)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(_gradients(ours, z)[0], _gradients(theirs, z)[0], rtol=1e-4, atol=1e-5)


def test_cosine_heads_ignore_the_lengths_of_embeddings_and_weights():
    for kind in ("norm-softmax", "cosine-margin"):
        head, z = head_of(kind), embeddings()
        before = head.loss(z, LABELS)
        with torch.no_grad():
            head.weight *= torch.rand(CLASSES, 1) + 0.5
        torch.testing.assert_close(head.loss(3 * z, LABELS), before, rtol=1e-5, atol=1e-6)


def test_responses_have_the_scale_but_no_margin():
    z = embeddings()
    head = head_of("cosine-margin")
    expected = head.scale * F.cosine_similarity(z[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head.logits(z), expected)
    taken = head.logits(z) - head.training_logits(z, LABELS)
    torch.testing.assert_close(taken, head.scale * head.margin * F.one_hot(LABELS, CLASSES).float())


@pytest.mark.parametrize("kind", HEADS)
def test_with_classes_keeps_the_old_rows_and_freezes(kind):
    head, rows = head_of(kind), 5 * torch.randn(2, DIM)
    extended = head.with_classes(rows)
    assert (extended.kind, extended.classes, extended.dim) == (kind, CLASSES + 2, DIM)
    assert extended.settings() == head.settings()
    assert torch.equal(extended.weight, torch.cat([head.weight, rows]))
    assert not any(parameter.requires_grad for parameter in extended.parameters())
    assert all(parameter.requires_grad for parameter in head.parameters())
    z = embeddings()
    torch.testing.assert_close(extended.logits(z)[:, :CLASSES], head.logits(z))
    if kind == "softmax":
        assert torch.equal(extended.bias, torch.cat([head.bias, torch.zeros(2)]))
    else:
        shorter = head.with_classes(rows / 7)  # the length of a synthesised row says nothing
        torch.testing.assert_close(extended.logits(z), shorter.logits(z))


def test_build_head_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="'arcface'.*softmax, norm-softmax, cosine-margin"):
        build_head("arcface", 3, 4)
    with pytest.raises(ValueError, match="'softmax'.*margin"):
        build_head("softmax", 3, 4, margin=0.4)
    with pytest.raises(ValueError, match="'norm-softmax'.*margin"):
        build_head("norm-softmax", 3, 4, scale=2.0, margin=0.4)


def test_defaults_are_the_papers():
    assert CosineMargin(3, 4).settings() == {"scale": 32.0, "margin": 0.4}
