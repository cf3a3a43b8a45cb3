"""Every method's formula re-derived by hand in float64, and what its gradients may and may not reach."""

import numpy as np
import pytest
import torch
from tiny import linear_net, same_weights
from torch import nn

from bctlib.losses import HEADS, build_head
from bctlib.methods import METHODS, Batch, Method, OldModel, Preparation, build_method

PIXELS = 4
OLD_CLASSES, NEW_CLASSES = ("c", "a", "z"), ("a", "b", "c", "d")
NEW_TO_OLD = [1, -1, 0, -1]  # the old model knows a and c, and one class that is gone
LABELS = [0, 1, 2, 3, 1, 0, 2]
NEEDS_OLD = [name for name, method in METHODS.items() if method.needs_old]
WITH_A_TERM = [name for name in NEEDS_OLD if name != "mixbct"]  # it has one loss, on a mixture

pytestmark = pytest.mark.usefixtures("float32_only")


def head_of(kind: str, classes: int, dim: int, seed: int) -> nn.Module:
    settings = {"softmax": {}, "norm-softmax": {"scale": 5.0}, "cosine-margin": {"scale": 5.0, "margin": 0.3}}
    torch.manual_seed(seed)
    head = build_head(kind, classes, dim, **settings[kind])
    if kind == "softmax":
        nn.init.normal_(head.bias)
    return head


class Case:
    """A new linear model of 5 elements beside a frozen old one of 3, one batch, and the same in float64."""

    def __init__(self, head: str = "cosine-margin", labels: list[int] = LABELS, d_new: int = 5, d_old: int = 3):
        images = torch.Generator().manual_seed(7)
        self.images = torch.randn(len(labels), 1, 2, 2, generator=images)
        self.plain = [(torch.randn(6, 1, 2, 2, generator=images), torch.tensor([3, 0, 1, 1, 2, 3])) for _ in range(2)]
        old_net, self.net = linear_net(PIXELS, d_old, 1), linear_net(PIXELS, d_new, 2)
        self.old = OldModel(old_net, head_of(head, len(OLD_CLASSES), d_old, 3), OLD_CLASSES)
        self.preparation = Preparation(NEW_CLASSES, torch.device("cpu"), lambda: self.plain, self.old)
        self.labels = torch.tensor(labels)
        self.z, self.o = self.net(self.images).detach().double().numpy(), self.old_of(self.images)

    def old_of(self, images: torch.Tensor) -> np.ndarray:
        return self.old.embed(images).double().numpy()

    def batch(self) -> Batch:
        old_labels = self.preparation.new_to_old[self.labels]
        batch = Batch(self.images, self.labels, old_labels, self.old, self.net(self.images))
        batch.embedding.retain_grad()
        return batch

    def method(self, name: str, **options) -> Method:
        method = build_method(name, **options)
        torch.manual_seed(5)  # as in the loop: a method's own parameters may be drawn
        method.prepare(self.preparation)
        self.own_head(method)  # the loop's order of calls: a method may build parameters of its own here
        return method

    def own_head(self, method: Method) -> nn.Module:
        classes = method.head_classes(self.preparation)
        return method.build_head(lambda n: head_of("cosine-margin", n, self.z.shape[1], 4), len(classes))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def answers(head, z: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Logits of embeddings [N,d] without a margin, float64; `weight` stands in for the head's own rows."""
    weight = head.weight.detach().double().numpy() if weight is None else weight
    if head.kind == "softmax":
        bias = np.zeros(len(weight))
        bias[: head.classes] = head.bias.detach().double().numpy()
        return z @ weight.T + bias
    return head.scale * unit(z) @ unit(weight).T


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def classify(head, z: np.ndarray, labels: list[int], margin: bool = True, weight: np.ndarray | None = None) -> float:
    """Sum of the cross-entropies over all images with a label."""
    total = 0.0
    for logits, label in zip(answers(head, z, weight), labels, strict=True):
        if label < 0:
            continue
        if margin and head.kind == "cosine-margin":
            logits[label] -= head.scale * head.margin
        total -= log_softmax(logits)[label]
    return total


def distil(case: Case, of: np.ndarray) -> float:
    """Sum over images `of` of the cross-entropy between the old head's answers to old and new embedding."""
    head = case.old.head
    target = np.exp(log_softmax(answers(head, case.o[of])))
    return -(target * log_softmax(answers(head, case.z[of, : case.old.dim]))).sum()


SEEN = np.array([NEW_TO_OLD[label] >= 0 for label in LABELS])
OLD_LABELS = [NEW_TO_OLD[label] for label in LABELS]
every_old_head = pytest.mark.parametrize("head", HEADS)


def test_new_classes_find_their_old_index_by_name():
    assert Case().preparation.new_to_old.tolist() == NEW_TO_OLD
    alone = Preparation(NEW_CLASSES, torch.device("cpu"), lambda: [])
    assert alone.new_to_old.tolist() == [-1] * 4


@pytest.mark.parametrize("lam", [1.0, 0.3])
def test_l2_is_half_the_squared_distance_summed_over_old_classes(lam):
    case = Case()
    expected = lam / 2 * sum(((z[:3] - o) ** 2).sum() for z, o, s in zip(case.z, case.o, SEEN, strict=True) if s) / 7
    assert case.method("l2", lam=lam).compatibility(case.batch()).item() == pytest.approx(expected, rel=1e-5)


def test_l2_between_unit_vectors():
    case = Case()
    cosines = (unit(case.z[:, :3]) * unit(case.o)).sum(1)[SEEN]
    found = case.method("l2", lam=2.0, unit_norm=True).compatibility(case.batch()).item()
    assert found == pytest.approx(2 / 2 * (2 - 2 * cosines).sum() / 7, rel=1e-5)


@every_old_head
def test_lwf_learns_old_classes_and_distils_new_ones(head):
    case = Case(head)
    method = case.method("lwf", lam=0.5)
    assert method.head_classes(case.preparation) == OLD_CLASSES
    own = case.own_head(method)
    assert own.classes == len(OLD_CLASSES)
    batch = case.batch()
    classification, soft = classify(own, case.z, OLD_LABELS) / 7, 0.5 * distil(case, ~SEEN) / 7
    assert method.classification(batch, own).item() == pytest.approx(classification, rel=1e-5)
    assert method.compatibility(batch).item() == pytest.approx(soft, rel=1e-5)
    assert method.loss(batch, own).item() == pytest.approx(classification + soft, rel=1e-5)


@every_old_head
@pytest.mark.parametrize("margin", [True, False])
def test_bct_is_the_old_heads_loss_on_the_new_embedding(head, margin):
    case = Case(head)
    method = case.method("bct", lam=2.0, old_margin=margin)
    own, batch = case.own_head(method), case.batch()
    influence = 2 * classify(case.old.head, case.z[:, :3], OLD_LABELS, margin) / 7
    assert method.compatibility(batch).item() == pytest.approx(influence, rel=1e-5)
    classification = classify(own, case.z, LABELS) / 7
    assert method.loss(batch, own).item() == pytest.approx(classification + influence, rel=1e-5)


@every_old_head
def test_bct_kd_adds_the_old_models_answers_on_new_classes(head):
    case = Case(head)
    expected = 0.7 * (classify(case.old.head, case.z[:, :3], OLD_LABELS) + distil(case, ~SEEN)) / 7
    found = case.method("bct-kd", lam=0.7).compatibility(case.batch()).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_distillation_is_least_where_the_answers_agree():
    """Cross-entropy, not divergence: at its minimum it is the entropy of the old head's answer, with zero gradient."""
    case = Case(labels=[1, 3, 3], d_new=3)
    case.net.load_state_dict(case.old.backbone.state_dict())
    batch = case.batch()
    loss = case.method("bct-kd").compatibility(batch)
    answer = torch.softmax(case.old.head.logits(case.old.embed(case.images)), 1)
    assert loss.item() == pytest.approx((-answer * answer.log()).sum().item() / 3, rel=1e-5)
    loss.backward()
    assert batch.embedding.grad.abs().max() < 1e-6


def test_class_means_are_of_unit_old_embeddings_of_plain_images():
    case = Case()
    images = torch.cat([images for images, _ in case.plain])
    labels = torch.cat([labels for _, labels in case.plain]).numpy()
    old = unit(case.old_of(images))
    expected = np.stack([old[labels == c].mean(0) for c in range(4)])
    means = case.preparation.old_class_means
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-6)
    assert not means.requires_grad
    assert np.linalg.norm(means[0]) < 1  # not re-normalised


@every_old_head
def test_bct_sys_judges_all_classes_with_synthesised_rows_for_new_ones(head):
    case = Case(head)
    method = case.method("bct-sys", lam=0.9)
    means = case.preparation.old_class_means.double().numpy()
    old = case.old.head
    weight = np.concatenate([old.weight.double().numpy(), means[[1, 3]]])  # after c, a, z: b and d
    assert torch.equal(method.extended.weight[:3], old.weight)
    np.testing.assert_allclose(method.extended.weight, weight, rtol=1e-5, atol=1e-6)
    assert method.new_to_extended.tolist() == [1, 3, 0, 4]
    labels = [[1, 3, 0, 4][label] for label in LABELS]
    expected = 0.9 * classify(old, case.z[:, :3], labels, weight=weight) / 7
    assert method.compatibility(case.batch()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_gradients_reach_the_new_model_and_nothing_old(name):
    case = Case()
    method = case.method(name)
    own = case.own_head(method)
    frozen = [case.old.backbone, case.old.head, *([method.extended] if name == "bct-sys" else [])]
    method.loss(case.batch(), own).backward()
    assert all(p.grad.abs().sum() > 0 for p in [*case.net.parameters(), *own.parameters()])
    for module in frozen:
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())


@pytest.mark.parametrize("name", WITH_A_TERM)
def test_only_the_prefix_is_bound_to_the_old_embedding(name):
    case = Case(d_new=8, d_old=4)
    batch = case.batch()
    case.method(name).compatibility(batch).backward()
    beyond = torch.count_nonzero(batch.embedding.grad[:, 4:])
    assert beyond > 0 if name == "bct-map" else beyond == 0  # its map reads all elements
    assert batch.embedding.grad[:, :4].abs().sum() > 0


@every_old_head
def test_bct_map_shows_the_old_head_the_mapped_embedding(head):
    case = Case(head)
    method = case.method("bct-map", lam=0.7)
    weight, bias = (p.detach().double().numpy() for p in method.parameters())
    expected = 0.7 * classify(case.old.head, case.z @ weight.T + bias, OLD_LABELS) / 7
    assert method.compatibility(case.batch()).item() == pytest.approx(expected, rel=1e-5)
    transform = method.finish(case.net, case.preparation)
    np.testing.assert_allclose(
        transform(torch.from_numpy(case.z).float()), case.z @ weight.T + bias, rtol=1e-4, atol=1e-6
    )
    assert not any(p.requires_grad for p in transform.parameters())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("labels", [[1, 3, 1], [2, 0, 0]], ids=["no old class", "old classes only"])
def test_batches_of_one_kind_of_class_are_finite(name, labels):
    case = Case(labels=labels)
    method = case.method(name)
    batch = case.batch()
    method.loss(batch, case.own_head(method)).backward()
    assert torch.isfinite(batch.embedding.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in case.net.parameters())


def _zero_term(name: str, labels: list[int]) -> None:
    case = Case(labels=labels)
    batch = case.batch()
    term = case.method(name).compatibility(batch)
    term.backward()
    assert term.item() == 0
    assert torch.count_nonzero(batch.embedding.grad) == 0


@pytest.mark.parametrize("name", ["l2", "bct"])
def test_without_an_old_class_nothing_is_bound(name):
    _zero_term(name, [1, 3, 1])


def test_with_old_classes_only_nothing_is_distilled():
    _zero_term("lwf", [2, 0, 0])
    case = Case(labels=[2, 0, 0])
    assert case.method("bct-kd").compatibility(case.batch()) == case.method("bct").compatibility(case.batch())


@pytest.mark.parametrize("name", ["l2", "bct", "bct-kd", "bct-sys"])
def test_lambda_zero_is_independent_training(name):
    gradients = []
    for method_name, options in (("independent", {}), (name, {"lam": 0.0})):
        case = Case()
        method = case.method(method_name, **options)
        method.loss(case.batch(), case.own_head(method)).backward()
        gradients.append([p.grad for p in case.net.parameters()])
    for alone, bound in zip(*gradients, strict=True):
        torch.testing.assert_close(bound, alone)


@pytest.mark.parametrize("name", WITH_A_TERM)
def test_lambda_weighs_the_term_linearly(name):
    case = Case()
    one, three = (case.method(name, lam=lam).compatibility(case.batch()).item() for lam in (1.0, 3.0))
    assert three == pytest.approx(3 * one, rel=1e-5)


def test_only_wanted_images_pass_through_the_old_model():
    case = Case()
    widths = []
    case.old.backbone.register_forward_hook(lambda module, inputs, output: widths.append(len(inputs[0])))
    for name, expected in (("l2", SEEN.sum()), ("lwf", (~SEEN).sum()), ("bct-kd", (~SEEN).sum()), ("bct", None)):
        widths.clear()
        build_method(name).compatibility(case.batch())
        assert widths == ([] if expected is None else [expected])


def test_an_old_model_is_frozen_and_in_evaluation_mode():
    net, head = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3)), head_of("softmax", 2, 3, 0)
    old = OldModel(net, head, ("a", "b"))
    before = OldModel(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3)), head, ("a", "b")).backbone
    before.load_state_dict(net.state_dict())
    z = old.embed(10 + torch.randn(5, 1, 2, 2))
    assert z.dtype == torch.float32 and not z.requires_grad and old.dim == 3
    assert same_weights(net, before)  # no running statistic has moved


def test_unknown_methods_and_options_name_the_known_ones():
    with pytest.raises(ValueError, match="'btc'.*independent, l2, lwf, bct, bct-kd, bct-sys"):
        build_method("btc")
    with pytest.raises(ValueError, match="'l2' has no option 'lambda'.*lam, unit_norm"):
        build_method("l2", **{"lambda": 3})
    with pytest.raises(ValueError, match="'independent' has no option 'lam'.*none"):
        build_method("independent", lam=1)
