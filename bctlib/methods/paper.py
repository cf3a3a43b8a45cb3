"""The methods of the paper, beside independent training (`base.Independent`).

Baselines: `L2Distance` keeps the new embedding close to the old one (Sec. 2.3, Eq. 3); `LearningWithoutForgetting` is
the paper's adaptation of its reference [15] (Sec. 3.4).

Backward-compatible training adds the influence loss through the frozen old head (Sec. 2.4, 2.5, Eq. 8):

    L_BCT = L(w_c, w_phi; T_new) + lambda * L(w_c old, w_phi; T_BCT)

`BCT`, `BCTDistilled` and `BCTSynthesised` differ in T_BCT and in how they treat classes that the old head lacks.
`BCT` also takes a part of T_old, for an experiment that separates the number of old classes from that of their images.
`BCTLinearMap` replaces the first d_old elements of a wider embedding by a trained linear map (Sec. 3.6), with which the
paper reports no success.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..losses import Head, distillation_loss, influence_loss
from .base import RUNS_OLD, Batch, Method, Preparation


class L2Distance(Method):
    """L(phi; T_new) + lambda * 1/2 * sum over T_old of ||phi(x) - phi_old(x)||^2 (Eq. 3).

    lam: lambda. unit_norm: whether to normalise both embeddings first, as some public re-implementations do; Eq. 3
    does not.
    """

    name = "l2"
    cost = RUNS_OLD

    def __init__(self, lam: float = 1.0, unit_norm: bool = False):
        self.lam, self.unit_norm = lam, unit_norm

    def runs_old(self, unseen: int) -> bool:
        return True

    def compatibility(self, batch: Batch) -> torch.Tensor:
        new, old = batch.rows(batch.comparable, batch.seen), batch.old_embedding(batch.seen)
        if self.unit_norm:
            new, old = F.normalize(new), F.normalize(old)
        return self.lam / 2 * (new - old).square().sum() / len(batch.labels)


def distillation(batch: Batch, chosen: torch.Tensor) -> torch.Tensor:
    """`distillation_loss` on the chosen images (bool [N], on the CPU), divided by the size of the whole batch."""
    new, old = batch.rows(batch.comparable, chosen), batch.old_embedding(chosen)
    return distillation_loss(new, old, batch.old.head, len(batch.labels))


class InfluenceLoss(Method):
    """What all forms of BCT share: the influence loss of the frozen old head (Eq. 8), here on T_old.

    lam: lambda. old_margin: whether the influence loss uses the old head's margin.
    """

    def __init__(self, lam: float = 1.0, old_margin: bool = True):
        self.lam, self.old_margin = lam, old_margin

    def influence(self, batch: Batch, head: Head, labels: torch.Tensor) -> torch.Tensor:
        """L(w_c old, w_phi; T_BCT): the frozen head's loss on the new embedding."""
        return influence_loss(batch.embedding, labels, head, self.old_margin)

    def compatibility(self, batch: Batch) -> torch.Tensor:
        return self.lam * self.influence(batch, batch.old.head, batch.old_labels)


def part_of(classes: Sequence[str], share: float) -> torch.Tensor:
    """A share of the classes, drawn at random: sorted indices, int64 [K] with K at least 1.

    The draw depends on the names alone, not on the state of a generator, so that each process and each resumed run
    has the same one. A smaller share lies inside a larger one.
    """
    order = np.random.default_rng(zlib.crc32("\n".join(classes).encode())).permutation(len(classes))
    return torch.from_numpy(np.sort(order[: max(1, round(share * len(classes)))]).astype(np.int64))


class BCT(InfluenceLoss):
    """phi_new-beta: the influence loss on T_old (Eq. 8 with T_BCT = T_old).

    lam, old_margin: as for all forms. part, part_rows: not in the paper. With a part below 1, T_BCT holds only the
    images of that share of the old classes (`part_of`); the sum over them is divided by the size of the whole batch, as
    before. All rows of the old head compete, or with part_rows only those of the chosen classes. Raises ValueError
    for a part that is not above 0 and at most 1, and for part_rows without a part.
    """

    name = "bct"

    def __init__(self, lam: float = 1.0, old_margin: bool = True, part: float = 1.0, part_rows: bool = False):
        super().__init__(lam, old_margin)
        if not isinstance(part, int | float) or not 0 < part <= 1:
            raise ValueError(f"part is {part!r}, expected a share of the old classes, above 0 and at most 1")
        if part_rows and part == 1:
            raise ValueError("part_rows leaves out the rows of the other old classes: expected a part below 1 with it")
        self.part, self.part_rows = part, part_rows

    def prepare(self, preparation: Preparation) -> None:
        if self.part == 1:
            return
        old, chosen = preparation.old, part_of(preparation.old.classes, self.part).to(preparation.device)
        self.head = old.head.with_only(chosen) if self.part_rows else old.head
        # One entry more than there are old classes: index -1, a class that the old model never saw, finds its -1.
        row = torch.full((len(old.classes) + 1,), -1, device=preparation.device)
        row[chosen] = torch.arange(len(chosen), device=preparation.device) if self.part_rows else chosen
        self.new_to_row = row[preparation.new_to_old]

    def compatibility(self, batch: Batch) -> torch.Tensor:
        if self.part == 1:
            return super().compatibility(batch)
        return self.lam * self.influence(batch, self.head, self.new_to_row[batch.labels])


class BCTDistilled(InfluenceLoss):
    """phi_new-beta-kd: BCT on T_old; on new classes the old head's softmax of phi_old is the target (App. A)."""

    name = "bct-kd"
    cost = RUNS_OLD
    needs_shared = False

    def runs_old(self, unseen: int) -> bool:
        return True

    def compatibility(self, batch: Batch) -> torch.Tensor:
        influence = self.influence(batch, batch.old.head, batch.old_labels)
        return self.lam * (influence + distillation(batch, ~batch.seen))


class BCTSynthesised(InfluenceLoss):
    """phi_new-beta-sys: T_BCT = T_new; each new class gets a synthesised row in the old head (Sec. 2.5).

    The row is the mean of the class's unit old embeddings; a cosine head normalises it. The rows are computed once,
    without gradient, and appended to w_c old.
    """

    name = "bct-sys"
    needs_shared = False

    def runs_old(self, unseen: int) -> bool:
        return unseen > 0

    def prepare(self, preparation: Preparation) -> None:
        new_to_old = preparation.new_to_old
        unseen = new_to_old < 0
        old_head = preparation.old.head
        rows = preparation.old_class_means[unseen] if unseen.any() else old_head.weight[:0]
        self.extended = old_head.with_classes(rows)
        self.new_to_extended = new_to_old.clone()
        self.new_to_extended[unseen] = old_head.classes + torch.arange(int(unseen.sum()), device=new_to_old.device)

    def compatibility(self, batch: Batch) -> torch.Tensor:
        return self.lam * self.influence(batch, self.extended, self.new_to_extended[batch.labels])


class LearningWithoutForgetting(Method):
    """Classification on T_old; on T_new without T_old, the old model's soft labels as pseudo labels.

    The new head has the old classes only (Table 1a: "50 %" of the data are labelled). The soft labels, of w_c old on
    phi_old, are compared with the softmax of the frozen old head on the new embedding, at the old head's scale.
    lam: weight of this term.
    """

    name = "lwf"
    cost = RUNS_OLD

    def __init__(self, lam: float = 1.0):
        self.lam = lam

    def runs_old(self, unseen: int) -> bool:
        return True

    def head_classes(self, preparation: Preparation) -> tuple[str, ...]:
        return preparation.old.classes

    def classification(self, batch: Batch, head: Head) -> torch.Tensor:
        return head.loss(batch.embedding, batch.old_labels)

    def compatibility(self, batch: Batch) -> torch.Tensor:
        return self.lam * distillation(batch, ~batch.seen)


class BCTLinearMap(InfluenceLoss):
    """Eq. 8 on T_old, where the old head takes A phi_new(x) + b instead of the first d_old elements.

    A [d_old, d_new] and b are trained together with phi_new. They map new queries that search an old gallery.
    """

    name = "bct-map"

    def prepare(self, preparation: Preparation) -> None:
        self.old_dim, self.device = preparation.old.dim, preparation.device

    def build_head(self, build: Callable[[int], Head], classes: int) -> Head:
        head = build(classes)
        self.map = nn.Linear(head.dim, self.old_dim).to(self.device)
        return head

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.map.parameters()

    def influence(self, batch: Batch, head: Head, labels: torch.Tensor) -> torch.Tensor:
        return head.loss(self.map(batch.embedding), labels, margin=self.old_margin)

    def finish(self, backbone: nn.Module, preparation: Preparation) -> nn.Module:
        return self.map.eval().requires_grad_(False)
