"""The naive baseline: stay near the old embedding (paper Sec. 2.3, Eq. 3)."""

import torch
import torch.nn.functional as F

from bctlib.methods.base import RUNS_OLD, Batch, Method


class L2Distance(Method):
    """L(phi; T_new) + lambda * 1/2 * sum over T_old of ||phi(x) - phi_old(x)||^2 (Eq. 3).

    lam: lambda. unit_norm: measure the distance between unit vectors, a variant of public re-implementations;
    Eq. 3 itself uses the embeddings as they are.
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
