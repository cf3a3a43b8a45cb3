"""Batch normalisation over the batch of all processes.

PyTorch has it for CUDA only; the layer here computes the same on a CPU. Parameters, buffers and their names are those
of the layer it replaces.
"""

import torch
import torch.distributed as dist
from torch import nn


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes, of whose losses the sum is differentiated."""

    @staticmethod
    def forward(ctx, local: torch.Tensor) -> torch.Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with mean and variance of the images of all processes, however many each has.

    Takes [N,C] and [N,C,H,W]. Computed in float32 where images come in bfloat16. In evaluation mode it is plain batch
    normalisation and asks nobody.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float() if x.dtype == torch.bfloat16 else x
        over = [axis for axis in range(x.dim()) if axis != 1]
        local_var, local_mean = torch.var_mean(values, over, correction=0)
        local_count = local_mean.new_full((1,), values.numel() / values.shape[1])
        sums = _SumOverProcesses.apply(torch.cat([local_count * local_mean, local_count]))
        count, mean = sums[-1], sums[:-1] / sums[-1]
        # Deviations from the common mean, not sums of squares, which cancel.
        var = _SumOverProcesses.apply(local_count * (local_var + (local_mean - mean).square())) / count
        self._update(mean.detach(), var.detach() * (count / (count - 1)))
        shape = [1, -1] + [1] * (x.dim() - 2)
        normalised = (values - mean.view(shape)) * torch.rsqrt(var + self.eps).view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(x.dtype)

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Both shapes are in order."""

    @torch.no_grad()
    def _update(self, mean: torch.Tensor, unbiased_var: torch.Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_var, self.momentum)


def with_synchronised_norms(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` with every batch normalisation in it replaced for training on `device`, in place."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            layer = SynchronisedBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
            layer.load_state_dict(child.state_dict())
            setattr(network, name, layer.to(child.running_mean).train(child.training))
        else:
            with_synchronised_norms(child, device)
    return network
