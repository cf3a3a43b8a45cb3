"""Copies from the CPU to the device that trains, without waiting for it."""

import torch


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on `device`; itself where that is the CPU.

    To a GPU it goes through page-locked memory and the CPU does not wait: a plain copy would block until the GPU has
    finished all work queued before it.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
