"""MixBCT: "Towards Self-Adapting Backward-Compatible Training" (Liang et al., 2023, arXiv 2308.06948).

One classification loss on a mixture: a share of the batch's new embeddings is replaced by the old unit embeddings of
the same images. The new classifier must recognise both, and so must lie where the old embeddings are. No second term.
"""

import torch
import torch.nn.functional as F

from ..losses import Head
from .base import RUNS_OLD, Batch, Method, Preparation


class MixBCT(Method):
    """lam * share: the share of the images that are replaced, at most 1; each is drawn by itself.

    kept: an image is replaced only if its old embedding is as near to its class's old mean as that share of the class's
    training images. The old embedding is of the distorted image, in the authors' code of the plain one.
    """

    name = "mixbct"
    needs_shared = False
    cost = RUNS_OLD

    def __init__(self, lam: float = 1.0, share: float = 0.3, kept: float = 0.9):
        self.share, self.kept = min(1.0, lam * share), kept

    def runs_old(self, unseen: int) -> bool:
        return True

    def prepare(self, preparation: Preparation) -> None:
        self.means = F.normalize(preparation.old_class_means)
        self.least = preparation.cosine_quantile(self.means, 1 - self.kept)

    def mixed(self, batch: Batch) -> torch.Tensor:
        """float32 [N,d_new]: the embeddings, some of them replaced by old ones, without gradient, and zeros."""
        chosen = batch.draws < self.share
        old = F.normalize(batch.old_embedding(chosen))
        labels = batch.rows(batch.labels, chosen)
        rows = batch.rows(torch.arange(len(chosen), device=old.device), chosen)
        near = (old * self.means[labels]).sum(1, keepdim=True) >= self.least[labels][:, None]
        padded = F.pad(old, (0, batch.embedding.shape[1] - old.shape[1]))
        return batch.embedding.index_copy(0, rows, torch.where(near, padded, batch.embedding[rows]))

    def classification(self, batch: Batch, head: Head) -> torch.Tensor:
        return head.loss(self.mixed(batch), batch.labels)
