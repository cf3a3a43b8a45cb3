"""RACT: "Hot-Refresh Model Upgrades with Regression-Alleviating Compatible Training" (Zhang et al., arXiv 2201.09724).

A contrastive term: the new embedding is nearer to the old embedding of its own image than to the old *and the new*
embeddings of other classes, as in a gallery that is being refreshed:

    L(w_c, w_phi; T_new) - lambda * mean_i log softmax([z_i . o_i; largest z_i . o_j; largest z_i . z_j] / T)_0

on unit embeddings, where j is of another class, among the images of the whole batch.
"""

import torch
import torch.nn.functional as F

from .base import RUNS_OLD, Batch, Method, Preparation


class RegressionAlleviating(Method):
    """lam: lambda. temperature: T. negatives: how many of the largest cosines compete in each group. new_negatives:
    whether the new embeddings compete too. As in the authors' code, the other images' embeddings have no gradient.
    """

    name = "ract"
    needs_shared = False
    cost = RUNS_OLD

    def __init__(self, lam: float = 1.0, temperature: float = 0.05, negatives: int = 10, new_negatives: bool = True):
        self.lam, self.temperature, self.negatives, self.new_negatives = lam, temperature, negatives, new_negatives

    def runs_old(self, unseen: int) -> bool:
        return True

    def prepare(self, preparation: Preparation) -> None:
        self.whole_batch = preparation.whole_batch

    def compatibility(self, batch: Batch) -> torch.Tensor:
        new, old = F.normalize(batch.comparable), F.normalize(batch.old.embed(batch.images))
        same = batch.labels[:, None] == self.whole_batch(batch.labels)
        groups = [(new * old).sum(1, keepdim=True)]
        for others in [old, new] if self.new_negatives else [old]:
            cosines = (new @ self.whole_batch(others).T).masked_fill(same, -torch.inf)
            groups.append(cosines.topk(min(self.negatives, cosines.shape[1])).values)
        logits = torch.cat(groups, 1) / self.temperature
        return self.lam * (logits.logsumexp(1) - logits[:, 0]).mean()
