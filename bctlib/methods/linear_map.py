"""BCT through a trained linear map, for embeddings of another dimension (paper Sec. 3.6).

The paper tried it beside the prefix and reports no success; it is here so that this can be seen.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from bctlib.losses import Head
from bctlib.methods.base import Batch, Preparation
from bctlib.methods.influence import BCT


class BCTLinearMap(BCT):
    """Eq. 8 on T_old, where the old head judges A phi_new(x) + b instead of the first d_old elements.

    A [d_old, d_new] and b are trained along with phi_new, and map its queries when they meet an old gallery.
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
