"""A map as one sealed safetensors file: matrix, bias, and as metadata what the map is for."""

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bctlib.base.errors import BctError
from bctlib.base.files import check_seal, seal
from bctlib.upgrade.align.kinds import MIDPOINT, NAMES

FORMAT = "bctlib-map-1"
DIRECTION = "new -> old"
_ABOUT = {
    "kind": str, "direction": str, "new": str, "old": str, "pairs": int, "strength": str | None,
    "chosen_on": str | None, "of": str | None, "weight": float | None, "digest": str,
}  # fmt: skip
Arrays = dict[str, np.ndarray]


def digest_of_map(about: dict, arrays: Arrays) -> str:
    """sha256 of what a map is and does, hexadecimal; the `digest` in `about` is left out."""
    text = json.dumps({name: about[name] for name in sorted(about) if name != "digest"})
    digest = hashlib.sha256(text.encode())
    for name in ("matrix", "bias"):
        digest.update(np.ascontiguousarray(arrays[name], "<f4"))
    return digest.hexdigest()


def write_map(path: Path, about: dict, arrays: Arrays) -> None:
    """Write and seal. Raises BctError when the file cannot be written."""
    metadata = {"bctlib": json.dumps({"format": FORMAT} | about, ensure_ascii=False)}
    try:
        seal(path, lambda temporary: save_file(arrays, temporary, metadata))
    except SafetensorError as error:
        raise BctError(f"cannot write {path}: {error}") from error


def read_map(path: Path) -> tuple[dict, Arrays]:
    """What `write_map` wrote. Raises BctError naming the file when it is missing, damaged or something else."""
    if not path.is_file():
        raise BctError(f"{path} is not there, expected a saved map")
    check_seal(path)
    try:
        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()["bctlib"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        if about.pop("format") != FORMAT or about.keys() != _ABOUT.keys():
            raise ValueError(f"expected a file of format {FORMAT}")
        for name, kind in _ABOUT.items():
            if not isinstance(about[name], kind):
                raise ValueError(f"its {name} is {about[name]!r}")
        if about["direction"] != DIRECTION:
            raise ValueError(f"its direction is {about['direction']!r}, expected {DIRECTION!r}")
        if about["kind"] not in NAMES or (about["weight"] is None) == (about["kind"] == MIDPOINT):
            raise ValueError(f"its kind is {about['kind']!r}, its weight {about['weight']}")
        _check_arrays(arrays)
        if digest_of_map(about, arrays) != about["digest"]:
            raise ValueError("its digest is not that of its content")
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BctError(f"{path} is not a map of this version ({' '.join(str(error).split())})") from error
    return about, arrays


def _check_arrays(arrays: Arrays) -> None:
    matrix, bias = arrays["matrix"], arrays["bias"]
    if matrix.dtype != np.float32 or bias.dtype != np.float32 or matrix.ndim != 2 or bias.shape != matrix.shape[1:]:
        raise ValueError(f"it holds {matrix.dtype} {matrix.shape} and {bias.dtype} {bias.shape}")
    if not (np.isfinite(matrix).all() and np.isfinite(bias).all()):
        raise ValueError("its values are not finite")
