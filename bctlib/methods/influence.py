"""Backward-compatible training: the influence loss through the frozen old head (paper Sec. 2.4, 2.5, Eq. 8).

    L_BCT = L(w_c, w_phi; T_new) + lambda * L(w_c old, w_phi; T_BCT)

The three forms differ in T_BCT and in what stands for classes that the old head does not know.
"""

import torch

from bctlib.losses import Head, distillation_loss, influence_loss
from bctlib.methods.base import RUNS_OLD, Batch, Method, Preparation


def distillation(batch: Batch, chosen: torch.Tensor) -> torch.Tensor:
    """`distillation_loss` on the chosen images, divided by the size of the whole batch, like every sum over images."""
    new, old = batch.rows(batch.comparable, chosen), batch.old_embedding(chosen)
    return distillation_loss(new, old, batch.old.head, len(batch.labels))


class BCT(Method):
    """phi_new-beta: the influence loss on T_old (Eq. 8 with T_BCT = T_old).

    lam: lambda. old_margin: keep the old head's own margin in the influence loss (the settled default) or drop it.
    """

    name = "bct"

    def __init__(self, lam: float = 1.0, old_margin: bool = True):
        self.lam, self.old_margin = lam, old_margin

    def influence(self, batch: Batch, head: Head, labels: torch.Tensor) -> torch.Tensor:
        """L(w_c old, w_phi; T_BCT): the frozen head's loss on the new embedding."""
        return influence_loss(batch.embedding, labels, head, self.old_margin)

    def compatibility(self, batch: Batch) -> torch.Tensor:
        return self.lam * self.influence(batch, batch.old.head, batch.old_labels)


class BCTDistilled(BCT):
    """phi_new-beta-kd: as BCT on T_old; on new classes the old head's answers to phi_old are the target (App. A)."""

    name = "bct-kd"
    cost = RUNS_OLD
    needs_shared = False

    def runs_old(self, unseen: int) -> bool:
        return True

    def compatibility(self, batch: Batch) -> torch.Tensor:
        influence = self.influence(batch, batch.old.head, batch.old_labels)
        return self.lam * (influence + distillation(batch, ~batch.seen))


class BCTSynthesised(BCT):
    """phi_new-beta-sys: T_BCT = T_new; each new class gets a synthesised row in the old head (Sec. 2.5).

    The row is the mean of the class's unit old embeddings, which a cosine head re-normalises by itself; the rows are
    concatenated to the existing w_c old, computed once, without gradient.
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
