"""Methods beyond the paper: their formulas by hand in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_methods import LABELS, NEW_CLASSES, Case, classify, unit

from bctlib.methods import Preparation, build_method

pytestmark = pytest.mark.usefixtures("float32_only")


def old_classes(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Unit mean of each class's unit old embeddings, and the smallest cosine of one of them with it."""
    pairs = [(unit(case.old_of(images)), labels.numpy()) for images, labels in case.plain]
    old, labels = np.concatenate([z for z, _ in pairs]), np.concatenate([y for _, y in pairs])
    means = unit(np.stack([old[labels == c].mean(0) for c in range(4)]))
    return means, np.array([(old[labels == c] @ means[c]).min() for c in range(4)])


def all_old(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Unit old embeddings of all plain images, and their labels."""
    pairs = [(unit(case.old_of(images)), labels.numpy()) for images, labels in case.plain]
    return np.concatenate([z for z, _ in pairs]), np.concatenate([y for _, y in pairs])


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


def test_lce_can_leave_the_farthest_old_embeddings_outside_their_boundary():
    """The boundary of six images a class at the quantile of a third is that of the third farthest."""
    case = Case()
    margins = case.method("lce", quantile=1 / 3 - 1e-6).margins
    old, labels = all_old(case)
    means, _ = old_classes(case)
    for c in range(4):
        cosines = np.sort(old[labels == c] @ means[c])
        assert margins[c] == pytest.approx(cosines[int((1 / 3 - 1e-6) * len(cosines))], abs=0.0051)


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
    old, labels = all_old(case)
    means, _ = old_classes(case)
    for c in range(4):
        cosines = np.sort(old[labels == c] @ means[c])
        left_out = int(0.3 * len(cosines) + 1e-9)
        assert method.least[c] == pytest.approx(cosines[left_out], abs=0.0051)


def ract_loop(case: Case, temperature: float, k: int, new_negatives: bool) -> float:
    """A loop over anchors and their competitors, in float64."""
    new, old, losses = unit(case.z[:, :3]), unit(case.o), []
    for i, label in enumerate(LABELS):
        others = [j for j, other in enumerate(LABELS) if other != label]
        groups = [sorted((new[i] @ kind[j] for j in others), reverse=True)[:k] for kind in (old, new)]
        logits = np.array([new[i] @ old[i], *groups[0], *(groups[1] if new_negatives else [])]) / temperature
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    return float(np.mean(losses))


@pytest.mark.parametrize("new_negatives", [True, False])
@pytest.mark.parametrize("k", [2, 10])
def test_ract_is_a_contrast_with_the_hardest_of_other_classes(k, new_negatives):
    case = Case()
    method = case.method("ract", lam=0.6, temperature=0.3, negatives=k, new_negatives=new_negatives)
    expected = 0.6 * ract_loop(case, 0.3, k, new_negatives)
    assert method.compatibility(case.batch()).item() == pytest.approx(expected, rel=1e-5)


def test_competitors_of_ract_carry_no_gradient():
    """With one anchor for all (the others have no term of their own), only that anchor is moved."""
    case = Case(labels=[0, 1])
    method = case.method("ract")
    batch = case.batch()
    scores = torch.autograd.functional.jacobian(
        lambda z: (F.normalize(z[:, :3])[0] @ method.whole_batch(F.normalize(z[:, :3])).T)[1], batch.embedding.detach()
    )
    assert scores[0].abs().sum() > 0 and scores[1].abs().sum() == 0


def test_oca_binds_the_prefix_to_a_head_of_old_class_means():
    case = Case()
    method = case.method("oca", lam=0.5, align=2.0)
    sums = case.preparation.old_class_means.double().numpy()
    influence = classify(case.old.head, case.z[:, :3], LABELS, weight=sums) / 7
    aligned = (1 - (unit(case.z[:, :3]) * unit(sums)[LABELS]).sum(1)).mean()
    found = method.compatibility(case.batch()).item()
    assert found == pytest.approx(0.5 * (influence + 2.0 * aligned), rel=1e-5)


def test_oca_without_alignment_is_bct_sys_with_every_row_synthesised():
    case = Case()
    nobody = Preparation(NEW_CLASSES, torch.device("cpu"), lambda: case.plain, case.old)
    nobody.__dict__["new_to_old"] = torch.full((4,), -1)  # the old head knows none of the classes
    nobody.old.head = case.old.head.with_only(torch.empty(0, dtype=torch.int64))
    everywhere = build_method("bct-sys")
    everywhere.prepare(nobody)
    oca = build_method("oca", align=0.0)
    oca.prepare(nobody)
    assert oca.compatibility(case.batch()).item() == pytest.approx(everywhere.compatibility(case.batch()).item())


def test_advbct_keeps_embeddings_inside_elastic_boundaries():
    case = Case()
    method = case.method("advbct", lam=0.8, adversarial=0.0)
    means, smallest = old_classes(case)
    largest = np.sqrt(2 - 2 * smallest)
    median = np.sort(largest)[1]  # the lower of the two in the middle
    with torch.no_grad():
        method.elastic.copy_(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    radius = largest + (median - largest) / (1 + np.exp(-np.array([-1.0, 0.0, 1.0, 2.0])))
    distance = np.linalg.norm(unit(case.z[:, :3]) - means[LABELS], axis=1)
    expected = 0.8 * np.maximum(0, distance - radius[LABELS]).mean()
    assert expected > 0
    assert method.compatibility(case.batch()).item() == pytest.approx(expected, rel=1e-4)


def test_the_discriminator_of_advbct_learns_and_the_backbone_gets_its_negative_gradient():
    case = Case()
    method = case.method("advbct")
    gradients = {}
    for kind in ("plain", "reversed"):
        batch = case.batch()
        if kind == "plain":
            scores = method.discriminator(batch.comparable), method.discriminator(batch.old.embed(batch.images))
            loss = sum(F.cross_entropy(s, torch.full((7,), own)) for own, s in enumerate(scores))
        else:
            batch.progress = 0.5
            loss = method.telling_apart(batch)
        loss.backward()
        gradients[kind] = loss.item(), batch.embedding.grad, method.discriminator[0].weight.grad
        method.discriminator.zero_grad()
    factor = 2 / (1 + np.exp(-5)) - 1
    assert gradients["reversed"][0] == pytest.approx(gradients["plain"][0], rel=1e-5)
    torch.testing.assert_close(gradients["reversed"][1], -factor * gradients["plain"][1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients["reversed"][2], gradients["plain"][2], rtol=1e-4, atol=1e-6)


def test_the_adversarial_term_fades_out():
    case = Case()
    terms = {}
    for weight in (0.0, 1.0):
        for progress in (0.0, 1.0):
            batch = case.batch()
            batch.progress = progress
            terms[weight, progress] = case.method("advbct", adversarial=weight).compatibility(batch).item()
    assert terms[1.0, 0.0] > terms[0.0, 0.0] and terms[1.0, 1.0] == pytest.approx(terms[0.0, 1.0])
