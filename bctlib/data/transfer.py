"""From the CPU to the device that trains, without waiting for it."""

import torch


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on `device`; itself where that is the CPU.

    To a GPU it goes through page-locked memory while the CPU goes on: a plain copy would wait until the GPU has done
    all that it was given before.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
