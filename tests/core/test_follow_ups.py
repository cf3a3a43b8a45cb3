"""Methods beyond the paper: their formulas by hand in float64."""

import numpy as np
import pytest
import torch
from test_methods import LABELS, Case, unit

pytestmark = pytest.mark.usefixtures("float32_only")


def old_classes(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Unit mean of each class's unit old embeddings, and the smallest cosine of one of them with it."""
    pairs = [(unit(case.old_of(images)), labels.numpy()) for images, labels in case.plain]
    old, labels = np.concatenate([z for z, _ in pairs]), np.concatenate([y for _, y in pairs])
    means = unit(np.stack([old[labels == c].mean(0) for c in range(4)]))
    return means, np.array([(old[labels == c] @ means[c]).min() for c in range(4)])


def test_lce_aligns_rows_and_keeps_embeddings_inside_old_boundaries():
    case = Case()
    method = case.method("lce", lam=0.7, align=0.3, boundary=2.0)
    means, smallest = old_classes(case)
    np.testing.assert_allclose(method.margins, smallest, rtol=1e-5)
    rows = unit(method.head.weight.detach().double().numpy()[:, :3])
    aligned = (1 - (rows * means).sum(1)).mean()
    cosines = (unit(case.z[:, :3]) * means[LABELS]).sum(1)
    outside = np.maximum(0, smallest[LABELS] - cosines).mean()
    found = method.compatibility(case.batch()).item()
    assert found == pytest.approx(0.7 * (0.3 * aligned + 2.0 * outside), rel=1e-5)


def test_without_a_boundary_lce_binds_the_classifier_alone():
    """A margin of -1 is inside every boundary: only the rows of the new head feel the old means."""
    case = Case()
    method = case.method("lce")
    method.margins = method.margins * 0 - 1
    batch = case.batch()
    method.compatibility(batch).backward()
    assert batch.embedding.grad.abs().sum() == 0 and method.head.weight.grad.abs().sum() > 0


def test_mixbct_replaces_the_drawn_rows_by_old_ones_that_carry_no_gradient():
    case = Case()
    method = case.method("mixbct", share=0.5, kept=1.0)
    batch = case.batch()
    batch.draws = torch.tensor([0.1, 0.9, 0.4, 0.6, 0.2, 0.9, 0.9])
    mixed = method.mixed(batch)
    old = np.pad(unit(case.old_of(case.images)), ((0, 0), (0, 2)))
    near = (old[:, :3] * method.means.numpy()[LABELS]).sum(1) >= method.least.numpy()[LABELS]
    replaced = (batch.draws.numpy() < 0.5) & near
    assert 0 < replaced.sum() < 7
    np.testing.assert_allclose(mixed.detach(), np.where(replaced[:, None], old, case.z), rtol=1e-5)
    head = case.own_head(method)
    method.loss(batch, head).backward()
    assert (batch.embedding.grad.abs().sum(1).numpy() == 0).tolist() == replaced.tolist()


def test_without_a_share_mixbct_is_independent_training_to_the_bit():
    losses = [method.loss(case.batch(), case.own_head(method)) for case in [Case()]
              for method in (case.method("independent"), case.method("mixbct", share=0.0))]  # fmt: skip
    assert torch.equal(*losses)


def test_mixbct_leaves_out_the_images_farthest_from_their_class():
    """Six images a class, one of ten left out: cosines below the first of them, to the width of a bin."""
    case = Case()
    method = case.method("mixbct", kept=0.7)
    pairs = [(unit(case.old_of(images)), labels.numpy()) for images, labels in case.plain]
    old, labels = np.concatenate([z for z, _ in pairs]), np.concatenate([y for _, y in pairs])
    means, _ = old_classes(case)
    for c in range(4):
        cosines = np.sort(old[labels == c] @ means[c])
        left_out = int(0.3 * len(cosines) + 1e-9)
        assert method.least[c] == pytest.approx(cosines[left_out], abs=0.0051)
