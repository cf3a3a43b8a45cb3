"""Learning without Forgetting, adapted as the paper does (Sec. 3.4, its reference [15])."""

import torch

from bctlib.losses import Head
from bctlib.methods.base import RUNS_OLD, Batch, Method, Preparation
from bctlib.methods.influence import distillation


class LearningWithoutForgetting(Method):
    """Classification on T_old, and soft labels of phi_old with w_c old as pseudo labels on T_new minus T_old.

    The new head knows the old classes only (Table 1a: "50 %" of the data are labelled). The soft labels are compared
    with what the frozen old head answers to the new embedding, at the old head's own scale.
    lam: weight of the soft labels.
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
