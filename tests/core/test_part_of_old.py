"""BCT on a part of the old classes: which part, its loss by hand in float64, and what it refuses."""

import numpy as np
import pytest
import torch
from tiny import linear_net

from bctlib.losses import HEADS, build_head
from bctlib.methods import Batch, OldModel, Preparation, build_method
from bctlib.methods.paper import part_of
from bctlib.models import MODELS

OLD = tuple("abcdefghij")
NEW = ("j", "new", "a", "b", "c", "d", "e", "f", "g", "h", "i", "newer")  # other order, and two that old never saw
LABELS = torch.arange(len(NEW)).repeat(2)
SETTINGS = {"softmax": {}, "norm-softmax": {"scale": 5.0}, "cosine-margin": {"scale": 5.0, "margin": 0.3}}

pytestmark = pytest.mark.usefixtures("float32_only")


def prepared(head: str, **options):
    """The method, its batch, and in float64 the embeddings [N,3] and the logits that all rows of the old head give."""
    torch.manual_seed(3)
    old_head = build_head(head, len(OLD), 3, **SETTINGS[head])
    if head == "softmax":
        torch.nn.init.normal_(old_head.bias)
    old = OldModel(linear_net(4, 3, 1), old_head, OLD)
    images = torch.randn(len(LABELS), 1, 2, 2, generator=torch.Generator().manual_seed(7))
    preparation = Preparation(NEW, torch.device("cpu"), lambda: [], old)
    embedding = linear_net(4, 5, 2)(images)
    embedding.retain_grad()
    method = build_method("bct", **options)
    method.prepare(preparation)
    z, w = embedding.detach().double().numpy()[:, :3], old_head.weight.double().numpy()
    if head == "softmax":
        logits = z @ w.T + old_head.bias.double().numpy()
    else:
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (z, w)]
        logits = 5.0 * unit[0] @ unit[1].T
    return method, Batch(images, LABELS, preparation.new_to_old[LABELS], old, embedding), logits


def by_hand(logits: np.ndarray, chosen: list[int], competing: list[int], margin: float) -> float:
    """Sum over the images of chosen old classes of the cross-entropy among the competing rows, over all N images."""
    total = 0.0
    for row, label in zip(logits, LABELS.tolist(), strict=True):
        if NEW[label] not in OLD or OLD.index(NEW[label]) not in chosen:
            continue
        target = OLD.index(NEW[label])
        row = row - margin * (np.arange(len(OLD)) == target)
        total += np.log(np.exp(row[competing]).sum()) - row[target]
    return total / len(LABELS)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("part_rows", [False, True])
def test_only_the_images_of_the_part_are_judged_by_all_rows_or_by_its_own(head, part_rows):
    method, batch, logits = prepared(head, part=0.4, part_rows=part_rows, lam=2.0)
    chosen = part_of(OLD, 0.4).tolist()
    margin = 5.0 * 0.3 if head == "cosine-margin" else 0.0
    expected = 2 * by_hand(logits, chosen, chosen if part_rows else list(range(len(OLD))), margin)
    loss = method.compatibility(batch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    judged = [NEW[label] in OLD and OLD.index(NEW[label]) in chosen for label in LABELS]
    assert (batch.embedding.grad.abs().sum(1) > 0).tolist() == judged
    assert all(
        p.grad is None and not p.requires_grad for p in (*method.head.parameters(), *batch.old.head.parameters())
    )


def test_the_whole_is_basic_bct_bit_for_bit():
    whole, basic = (prepared("cosine-margin", **options) for options in ({"part": 1.0}, {}))
    assert whole[0].compatibility(whole[1]).item() == basic[0].compatibility(basic[1]).item()


def test_a_part_depends_on_names_alone_and_smaller_ones_lie_inside():
    names = tuple(f"class {i}" for i in range(1000))
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state()
        found.append([part_of(names, share).tolist() for share in (0.1, 0.2, 0.4, 1.0)])
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1] and [len(part) for part in found[0]] == [100, 200, 400, 1000]
    for small, large in zip(found[0], found[0][1:], strict=False):
        assert set(small) < set(large) and large == sorted(large)
    assert part_of(names[1:], 0.1).tolist() != found[0][0]  # other classes, another draw
    assert len(part_of(names[:3], 0.01)) == 1


@pytest.mark.parametrize("part", [0, -0.1, 1.01, float("nan"), float("inf"), "0.2", None])
def test_a_part_that_is_no_share_is_refused(part):
    with pytest.raises(ValueError, match=r"part is .*above 0 and at most 1"):
        build_method("bct", part=part)


def test_rows_cannot_be_left_out_without_a_part_nor_by_other_forms():
    with pytest.raises(ValueError, match="part_rows.*expected a part below 1"):
        build_method("bct", part_rows=True)
    for name in ("bct-kd", "bct-sys", "bct-map"):
        with pytest.raises(ValueError, match=f"'{name}' has no option 'part'.*lam, old_margin"):
            build_method(name, part=0.2)


def test_only_the_models_of_this_experiment_have_the_option():
    """An option in the recipe of another model would change its key, and it would be trained again."""
    parts = {name: spec.options for name, spec in MODELS.items() if "part" in spec.options}
    assert parts == {
        f"new-bct-{kind}-{part}%": {"part": part / 100, **rows}
        for part in (10, 20, 40)
        for kind, rows in (("images", {}), ("rows", {"part_rows": True}))
    }
    assert all(not spec.options for name, spec in MODELS.items() if name not in parts)
