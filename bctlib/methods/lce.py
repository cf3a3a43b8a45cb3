"""LCE: "Learning Compatible Embeddings" (Meng, Zhang, Xu, Zhou; ICCV 2021, arXiv 2108.01958).

Class rows are aligned with the old class means, and each new embedding stays inside its class's old boundary:

    L(w_c, w_phi; T_new) + lambda * [align * mean_c (1 - cos(W_c, P_c)) + boundary * mean_i max(0, m_y - cos(z_i, P_y))]

P_c: mean of the class's unit old embeddings. m_c: the smallest cosine of an old embedding of the class with it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..losses import Head
from .base import Batch, Method, Preparation


class LearningCompatibleEmbeddings(Method):
    """lam: lambda. align, boundary: weights of the two terms; the first is a mean over classes, in its code a sum.

    quantile: share of a class's old embeddings that its boundary leaves outside; 0 is the paper's.
    """

    name = "lce"
    needs_shared = False

    def __init__(self, lam: float = 1.0, align: float = 1.0, boundary: float = 1.0, quantile: float = 0.0):
        self.lam, self.align, self.boundary, self.quantile = lam, align, boundary, quantile

    def runs_old(self, unseen: int) -> bool:
        return True

    def prepare(self, preparation: Preparation) -> None:
        self.means = F.normalize(preparation.old_class_means)
        if self.quantile:
            self.margins = preparation.cosine_quantile(self.means, self.quantile)
        else:
            self.margins = preparation.least_cosine(self.means)

    def build_head(self, build: Callable[[int], Head], classes: int) -> Head:
        self.head = super().build_head(build, classes)
        return self.head

    def compatibility(self, batch: Batch) -> torch.Tensor:
        rows = F.normalize(self.head.weight[:, : batch.old.dim])
        aligned = 1 - (rows * self.means).sum(1)
        cosine = (F.normalize(batch.comparable) * self.means[batch.labels]).sum(1)
        outside = F.relu(self.margins[batch.labels] - cosine)
        return self.lam * (self.align * aligned.mean() + self.boundary * outside.mean())
