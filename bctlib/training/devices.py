"""Which device computes, and in which precision."""

import contextlib

import torch
from torch import nn

from bctlib.base.errors import UsageError


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


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; elsewhere autocast would only slow it down."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16", False))


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
