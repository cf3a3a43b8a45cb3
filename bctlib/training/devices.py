"""Choice of device and precision, and `torch.compile` on GPUs.

Compiling pays on a GPU, where small kernels would otherwise wait for Python to launch them.
"""

import contextlib
import copy
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from bctlib.base import progress
from bctlib.base.errors import UsageError
from bctlib.base.provenance import provenance


def choose_device(name: str = "auto") -> torch.device:
    """`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:1`.

    Raises UsageError for an unknown name or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}: expected auto, cpu, cuda or cuda:INDEX") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {name!r} was asked for, but PyTorch sees no CUDA device here")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"unknown device {name!r}: expected auto, cpu, cuda or cuda:INDEX")
    return device


_float32_alone = False


@contextlib.contextmanager
def in_float32() -> Iterator[None]:
    """Trainings in the block use float32, as on a CPU without bfloat16: to measure both on one machine."""
    global _float32_alone
    before, _float32_alone = _float32_alone, True
    try:
        yield
    finally:
        _float32_alone = before


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; otherwise autocast would only be slower."""
    if _float32_alone:
        return False
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16", False))


def precision(device: torch.device) -> str:
    """In which a training on `device` multiplies: "bfloat16" where the device has it, else "float32"."""
    return "bfloat16" if has_bf16(device) else "float32"


def training_provenance(device: torch.device) -> dict[str, str]:
    """`provenance` of numbers made under `autocast` on `device`: its device text names the precision.

    Results are keyed by that text, so that rows of both precisions never replace each other or share a mean.
    """
    origin = provenance(str(device))
    return origin | {"device": f"{origin['device']}, {precision(device)}"}


def autocast(device: torch.device):
    """bfloat16 autocast where the device has it, else a context that does nothing (float32)."""
    if has_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


class InTrainingPrecision(nn.Module):
    """A network that is called under `autocast`, as the new model is in training."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with autocast(images.device):
            return self.network(images)


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
