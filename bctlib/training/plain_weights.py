"""Weights that were saved by anybody's PyTorch code, read without executing anything that the file may hold."""

import pickle
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from bctlib.data.array_files import map_array
from bctlib.errors import BctError

_INSIDE = ("state_dict", "model_state_dict", "model", "net", "backbone")
_PREFIXES = ("module.", "_orig_mod.")

Weights = dict[str, torch.Tensor]


def read_weights(path: Path | str) -> Weights:
    """The state dict of a .safetensors, .pth or .pt file, on the CPU.

    A checkpoint that holds one under a usual name (`state_dict`, `model`, ...) will do; the prefixes that
    DistributedDataParallel and torch.compile put before every name are dropped. Raises BctError when the file is
    missing, damaged or no state dict, when a weight is not finite, and for pickled objects, which are not executed.
    """
    path = Path(path)
    weights = _state_dict(path, _load(path))
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise BctError(f"{path}: {name} holds NaN or infinite values, expected finite weights")
    return weights


def read_classifier(path: Path | str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A classifier's weight [C,d] and bias [C] or None from a file of its own.

    path: .npy with the weight; .pt, .pth or .safetensors with the weight alone or with keys that end in `weight` and
    `bias`. Raises BctError as `read_weights` does, and where the weight cannot be told from other tensors.
    """
    path = Path(path)
    if path.suffix == ".npy":
        array = map_array(path)
        if array.dtype.kind not in "fiu":
            raise BctError(f"{path} holds values of type {array.dtype}: expected real numbers")
        return torch.from_numpy(np.array(array, np.float32)), None
    found = _load(path)
    if isinstance(found, torch.Tensor):
        return found, None
    tensors = _state_dict(path, found)
    weights = [name for name in tensors if name.split(".")[-1] == "weight" or tensors[name].dim() == 2]
    if len(weights) != 1:
        raise BctError(f"{path} holds {', '.join(list(tensors)[:8])}: expected one classifier's weight [classes, dim]")
    bias = [tensor for name, tensor in tensors.items() if name.split(".")[-1] == "bias"]
    return tensors[weights[0]], bias[0] if len(bias) == 1 else None


def matrices(weights: Weights) -> list[str]:
    """The names of all weights of two dimensions: a classifier is one of them."""
    return [name for name, tensor in weights.items() if tensor.dim() == 2]


def _load(path: Path):
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BctError(
            f"{path} holds pickled objects, which are refused and were not executed: "
            "save the weights alone, with torch.save(model.state_dict(), ...)"
        ) from error
    except FileNotFoundError as error:
        raise BctError(f"cannot read {path}: No such file or directory") from error
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what a damaged file does to PyTorch's readers has no end of kinds
        raise BctError(f"{path} is damaged or no file of weights: expected a state dict") from error


def _state_dict(path: Path, found) -> Weights:
    if isinstance(found, dict):
        for inside in (found, *(found.get(name) for name in _INSIDE)):
            if isinstance(inside, dict) and inside and all(isinstance(each, torch.Tensor) for each in inside.values()):
                return dict(inside)
    what = f"a dict of {', '.join(map(str, list(found)[:8]))}" if isinstance(found, dict) else type(found).__name__
    raise BctError(f"{path} holds {what}: expected a state dict, the weights of a network by name")
