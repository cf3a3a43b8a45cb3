"""AdvBCT: "Boundary-Aware Backward-Compatible Representation via Adversarial Learning" (Pan et al.; CVPR 2023).

arXiv 2305.02610. Each new embedding stays inside its class's old boundary, and a discriminator D, of whose gradient the
backbone gets the negative, must not tell new from old embeddings:

    L(w_c, w_phi; T_new) + lambda * [mean_i max(0, |z_i - P_y| - r_y) + a * (NLL(D(z_i), new) + NLL(D(o_i), old))]

P_c: unit mean of the class's unit old embeddings. r_c = R_c + (t - R_c) * sigmoid(e_c), between R_c, the largest
distance of an old embedding of the class from P_c, and t, the median of all R_c; e_c is trained. The hinge can only
move r_c towards the larger of the two. a falls from 1 to 0, the factor on the negative gradient rises from 0 to 1.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from .base import RUNS_OLD, Batch, Method, Preparation


class AdversarialBCT(Method):
    """lam: lambda. adversarial: weight of the second term. The hinge is a mean over the batch, in the authors' code
    over the embeddings outside of their boundary."""

    name = "advbct"
    needs_shared = False
    cost = RUNS_OLD

    def __init__(self, lam: float = 1.0, adversarial: float = 1.0):
        self.lam, self.adversarial = lam, adversarial

    def runs_old(self, unseen: int) -> bool:
        return True

    def prepare(self, preparation: Preparation) -> None:
        self.means = F.normalize(preparation.old_class_means)
        self.largest = (2 - 2 * preparation.least_cosine(self.means)).clamp(min=0).sqrt()
        self.elastic = nn.Parameter(torch.zeros_like(self.largest))
        layers = nn.Linear(preparation.old.dim, 100), nn.BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 2)
        self.discriminator = preparation.common_norms(nn.Sequential(*layers)).to(preparation.device)

    def parameters(self) -> Iterable[nn.Parameter]:
        return [self.elastic, *self.discriminator.parameters()]

    def compatibility(self, batch: Batch) -> torch.Tensor:
        unit, y = F.normalize(batch.comparable), batch.labels
        radius = self.largest + (self.largest.median() - self.largest) * self.elastic.sigmoid()
        outside = F.relu((unit - self.means[y]).norm(dim=1) - radius[y]).mean()
        return self.lam * (outside + self.adversarial * (1 - batch.progress) * self.telling_apart(batch))

    def telling_apart(self, batch: Batch) -> torch.Tensor:
        """The discriminator's loss on new (class 0) and old embeddings (1); the new ones get its negative gradient."""
        back = 2 / (1 + math.exp(-10 * batch.progress)) - 1
        reversed_back = (1 + back) * batch.comparable.detach() - back * batch.comparable
        new, old = self.discriminator(reversed_back), self.discriminator(batch.old.embed(batch.images))
        return F.cross_entropy(new, torch.zeros_like(batch.labels)) + F.cross_entropy(
            old, torch.ones_like(batch.labels)
        )
