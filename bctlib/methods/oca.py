"""OCA as coded: "Backward-Compatible Aligned Representations via an Orthogonal Transformation Layer" (Ricci et al.).

arXiv 2408.08793. An embedding with more elements than the old one, of which only the first d_old are tied to it: by the
influence loss through a frozen head of the old class means, and by a cosine with the mean of the own class,

    L(w_c, w_phi; T_new) + lambda * [L(P, z_1..d_old; T_new) + align * mean_i (1 - cos(z_i, P_y))]

P_c: mean of the class's unit old embeddings. The code's orthogonal layer, between the embedding and a classifier with
free weights, adds no function that the classifier lacks, and is left out.
"""

import torch
import torch.nn.functional as F

from .base import Batch, Preparation
from .paper import InfluenceLoss


class OrthogonalCompatibleAligned(InfluenceLoss):
    """lam, old_margin: as for all forms of BCT. align: weight of the cosine term."""

    name = "oca"
    needs_shared = False

    def __init__(self, lam: float = 1.0, align: float = 1.0, old_margin: bool = True):
        super().__init__(lam, old_margin)
        self.align = align

    def runs_old(self, unseen: int) -> bool:
        return True

    def prepare(self, preparation: Preparation) -> None:
        none = torch.empty(0, dtype=torch.int64, device=preparation.device)
        self.head = preparation.old.head.with_only(none).with_classes(preparation.old_class_means)

    def compatibility(self, batch: Batch) -> torch.Tensor:
        means = F.normalize(self.head.weight)[batch.labels]
        aligned = 1 - (F.normalize(batch.comparable) * means).sum(1)
        return self.lam * (self.influence(batch, self.head, batch.labels) + self.align * aligned.mean())
