"""From a batch of images to the loss of one step: the loss module that DistributedDataParallel wraps."""

import torch
from torch import nn

from bctlib.base.transfer import to_device
from bctlib.training.devices import autocast
from bctlib.losses import Head
from bctlib.methods import Batch, Method, Preparation


class Objective(nn.Module):
    """The method's loss of phi_new and its head on distorted images; its parameters are all those that are trained."""

    def __init__(self, backbone: nn.Module, head: Head, method: Method, preparation: Preparation):
        super().__init__()
        self.backbone, self.head = backbone, head
        self.of_method = nn.ParameterList(method.parameters())
        self.method, self.old, self.new_to_old = method, preparation.old, preparation.new_to_old.cpu()

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """A scalar, the sum over the images divided by N. images: float32 [N,C,S,S]; labels: int64 [N], on the CPU."""
        old_labels, device = self.new_to_old[labels], images.device
        batch = Batch(images, to_device(labels, device), to_device(old_labels, device), self.old, seen=old_labels >= 0)
        with autocast(images.device):
            batch.embedding = self.backbone(images.contiguous(memory_format=torch.channels_last)).float()
        self.method.replace(batch)
        return self.method.loss(batch, self.head)
