"""`torch.compile` where it pays: on a GPU, whose small kernels would otherwise wait for Python to launch them."""

import copy
import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bctlib.base import progress

Network = Callable[[torch.Tensor], torch.Tensor]


class Accelerated(nn.Module):
    """`network`, compiled at its first call; where that fails, `network` as it is, and one line that says why.

    Parameters and buffers are those of `network`, which keeps their names. What a compiled network computes differs
    from the plain one by rounding. options: for `torch.compile`.
    """

    def __init__(self, network: nn.Module, **options: Any):
        super().__init__()
        self.network, self.options = network, options
        self._calls: Network | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self._calls is None:
            self._calls = self._compiled() if self._compiles(images) else self.network.__call__
        return self._calls(images)

    def _compiled(self) -> Network:
        return torch.compile(self.network.__call__, **self.options)

    def _compiles(self, images: torch.Tensor) -> bool:
        """Whether a copy can go forward and backward: a failure must not come when statistics were half updated."""
        trial = Accelerated(copy.deepcopy(self.network), **self.options)
        try:
            trial._compiled()(images).float().sum().backward()
        except Exception as error:  # whatever compilers and drivers raise: there is always the plain network
            reason = textwrap.shorten(str(error) or type(error).__name__, 200)
            progress.say(f"torch.compile does not work here ({reason}): training goes on without it")
            return False
        return True


def accelerated(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` in the form in which a training step calls it on `device`.

    Compiled on CUDA; on a CPU the network itself, so that its numbers stay what they are to the bit.
    """
    return Accelerated(network) if device.type == "cuda" else network
