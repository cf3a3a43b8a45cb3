"""Read weights saved by any PyTorch code, without executing anything in the file."""

import math
import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.base.files import map_array
from bctlib.upgrade.train.file_kinds import is_safetensors, may_be_pickled, other_kind, text_at_beginning

_INSIDE = ("state_dict", "model_state_dict", "model", "net", "network", "backbone", "module")
_NESTED = 3  # as in {"model": {"state_dict": ...}}
# What torch.compile, FSDP and activation checkpointing put into names, wherever they wrap a module.
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_PARALLEL = "module."  # DataParallel and DistributedDataParallel, around the whole
_COMPUTED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# A sparse or expanded tensor may have any shape in a few bytes. Beyond both bounds it is not made dense.
_LARGE, _FACTOR = 10**9, 1000  # bytes, and times the size of the file

Weights = dict[str, torch.Tensor]


def read_weights(path: Path | str) -> Weights:
    """The state dict of a .safetensors, .pth, .pt or .ckpt file: dense tensors on the CPU, by name.

    Its content decides how it is read. A checkpoint that holds a state dict under a usual name (`state_dict`, `model`,
    ...) will do. What DistributedDataParallel, torch.compile and FSDP put into the names is dropped, however often.
    Sparse and quantised tensors are made dense, float8 becomes float32. Raises BctError when the file is missing,
    damaged or no state dict (saying what it is), when a weight has no values, is complex or not finite, when the dense
    weights would be far larger than the file, and for pickled objects, which are not executed.
    """
    path = Path(path)
    weights = _without_wrappers(_state_dict(path, _load(path)))
    return _all_dense(path, weights)


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
        return _all_dense(path, {"its tensor": found})["its tensor"], None
    tensors = _all_dense(path, _state_dict(path, found))
    weights = [name for name in tensors if name.split(".")[-1] == "weight" or tensors[name].dim() == 2]
    if len(weights) != 1:
        raise BctError(f"{path} holds {', '.join(list(tensors)[:8])}: expected one classifier's weight [classes, dim]")
    bias = [tensor for name, tensor in tensors.items() if name.split(".")[-1] == "bias"]
    return tensors[weights[0]], bias[0] if len(bias) == 1 else None


def network_part(path: Path | str, weights: Weights, names: Collection[str]) -> tuple[str, Weights]:
    """The prefix (`net.`) below which a checkpoint holds the network whose weights have these names, and its part.

    The prefix is "" and the part all there is, unless most of the names are found below another one. Raises BctError
    where the network is there more than once, with different weights.
    """
    known, found, below = set(names), Counter(), Counter()
    for name in weights:
        parts = name.split(".")
        for depth in range(len(parts)):
            prefix = "".join(f"{part}." for part in parts[:depth])
            below[prefix] += 1
            found[prefix] += ".".join(parts[depth:]) in known
    whole = [prefix for prefix, n in found.items() if 2 * n > len(known)]
    if "" in whole or not whole:
        return "", weights
    missing_and_more = {prefix: len(known) + below[prefix] - 2 * found[prefix] for prefix in whole}
    parts = {
        prefix: _below(prefix, weights)
        for prefix in whole
        if missing_and_more[prefix] == min(missing_and_more.values())
    }
    (first, part), *others = parts.items()
    for other, twin in others:
        if part.keys() != twin.keys() or not all(torch.equal(part[name], twin[name]) for name in part):
            raise BctError(f"{path} holds the network as {first}* and as {other}*: expected a file with one of them")
    return first, part


def _below(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)}


def matrices(weights: Weights) -> list[str]:
    """The names of all weights of two dimensions: a classifier is one of them."""
    return [name for name, tensor in weights.items() if tensor.dim() == 2]


def _load(path: Path):
    if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe may wait for ever
        raise BctError(f"{path} is a pipe or a device: expected a file of weights")
    try:
        if other := other_kind(path):
            raise BctError(f"{path} is {other}")
        if is_safetensors(path):
            return load_file(path)
        _say_wrong_checksum(path)
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):  # PyTorch's, of old forms of files
            return torch.load(file, map_location="cpu", weights_only=True)
    except BctError:
        raise
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None and not may_be_pickled(path):
            raise _damaged(path) from error
        raise BctError(
            f"{path} holds pickled objects, which are refused and were not executed"
            f"{f' ({named[1]})' if named else ''}: save the weights alone, with torch.save(model.state_dict(), ...)"
        ) from error
    except IsADirectoryError as error:
        raise BctError(f"{path} is a folder: expected the file of weights in it") from error
    except FileNotFoundError as error:
        raise BctError(f"cannot read {path}: No such file or directory") from error
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what a damaged file does to PyTorch's readers has no end of kinds
        raise _damaged(path) from error


def _say_wrong_checksum(path: Path) -> None:
    """Says which part of a zip archive does not match its checksum, which torch.load does not look at.

    It is no error: PyTorch can be told to write none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
        if wrong is not None:
            progress.say(f"{path}: {wrong} in it does not match its checksum: the file may be damaged")


def _damaged(path: Path) -> BctError:
    text = text_at_beginning(path)
    found = f", found text that begins with {text!r}" if text else ""
    return BctError(f"{path} is damaged or no file of weights: expected a state dict{found}")


def _state_dict(path: Path, found) -> Weights:
    if weights := _weights_in(found, _NESTED):
        _say_choice(path, found)
        return weights
    if isinstance(found, dict):
        what = f"a dict of {', '.join(map(str, list(found)[:8]))}" if found else "an empty dict"
    else:
        what = type(found).__name__
    raise BctError(f"{path} holds {what}: expected a state dict, the weights of a network by name")


def _weights_in(found, depth: int) -> Weights | None:
    """The first dict of nothing but tensors by name, here or under a usual name at most `depth` levels below."""
    if not isinstance(found, dict) or not found:
        return None
    if all(isinstance(name, str) and isinstance(each, torch.Tensor) for name, each in found.items()):
        return dict(found)
    inside = (_weights_in(found.get(name), depth - 1) for name in _INSIDE) if depth else ()
    return next(filter(None, inside), None)


def _say_choice(path: Path, found: dict) -> None:
    """A line where a checkpoint holds weights under several names, such as those of a moving average."""
    holding = [name for name, inside in found.items() if _weights_in(inside, _NESTED - 1)]
    if len(holding) > 1:
        taken = next(name for name in _INSIDE if name in holding)
        left = ", ".join(str(name) for name in holding if name != taken)
        progress.say(f"{path}: the weights are what is named {taken}; left out: {left}")


def _without_wrappers(weights: Weights) -> Weights:
    plain = [".".join(part for part in name.split(".") if part not in _WRAPPERS) for name in weights]
    while all(name.startswith(_PARALLEL) for name in plain):
        plain = [name.removeprefix(_PARALLEL) for name in plain]
    if len(set(plain)) < len(weights):  # a network and its compiled self side by side
        return weights
    return dict(zip(plain, weights.values(), strict=True))


def _all_dense(path: Path, tensors: Weights) -> Weights:
    """Each tensor as `_dense` gives it. Raises BctError as `_dense`, and before anything large is made."""
    sizes = {name: math.prod(each.shape) * each.element_size() for name, each in tensors.items() if not each.is_meta}
    total, held = sum(sizes.values()), path.stat().st_size
    if total > _LARGE and total > _FACTOR * held:
        name = max(sizes, key=sizes.get)
        raise BctError(
            f"{path}: {name} has the shape {list(tensors[name].shape)}; dense, the weights would take "
            f"{total / 1e9:,.1f} GB, but the file has {held / 1e6:,.2f} MB: expected weights saved as dense tensors"
        )
    return {name: _dense(f"{path}: {name}", tensor) for name, tensor in tensors.items()}


def _dense(what: str, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor dense, and of a type that can be computed with. what: file and name, for messages.

    Raises BctError for values that are missing, complex or not finite, and for forms that cannot be converted.
    """
    if tensor.is_meta:
        raise BctError(f"{what} is a meta tensor, a shape without values: expected a network saved with its weights")
    if tensor.is_complex():
        raise BctError(f"{what} holds complex numbers ({tensor.dtype}): expected real numbers")
    form = f"{tensor.dtype}, {tensor.layout}"
    try:
        tensor = tensor.detach()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        if tensor.is_floating_point() and tensor.dtype not in _COMPUTED:
            tensor = tensor.float()
        finite = not tensor.is_floating_point() or bool(tensor.isfinite().all())
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise BctError(f"{what} is a tensor that cannot be read ({form}): expected dense float weights") from error
    if not finite:
        raise BctError(f"{what} holds NaN or infinite values, expected finite weights")
    return tensor
