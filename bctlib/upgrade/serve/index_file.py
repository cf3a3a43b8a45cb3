"""A live index as one sealed safetensors file: FAISS's own bytes, the arrays beside them, and what the index was told.

The digest of the seal is checked before FAISS reads its bytes, so that a damaged file is refused and not parsed.
"""

import json
from pathlib import Path

import faiss
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bctlib.base.errors import BctError
from bctlib.base.files import check_seal, seal
from bctlib.upgrade.serve.kinds import KINDS

FORMAT = "bctlib-index-1"
_ARRAYS = {"items": np.int64, "classes": np.int64, "model": np.int32, "alive": np.bool_}
_ABOUT = {
    "dim": int, "kind": str, "models": list, "compatible": list, "rebuild_at": float, "rebuilds": int, "inserted": int,
}  # fmt: skip


def write_index(path: Path, about: dict, arrays: dict[str, np.ndarray], index: faiss.Index | None) -> None:
    """Write and seal. Raises BctError when the file cannot be written."""
    tensors = {name: arrays[name].astype(kind, copy=False) for name, kind in _ARRAYS.items()}
    if index is not None:
        tensors["faiss"] = faiss.serialize_index(index)
    metadata = {"bctlib": json.dumps({"format": FORMAT} | about, ensure_ascii=False)}
    try:
        seal(path, lambda temporary: save_file(tensors, temporary, metadata))
    except SafetensorError as error:
        raise BctError(f"cannot write {path}: {error}") from error


def read_index(path: Path) -> tuple[dict, dict[str, np.ndarray], faiss.Index | None]:
    """What `write_index` wrote. Raises BctError naming the file when it is missing, damaged or something else."""
    if not path.exists():
        raise BctError(f"{path} is not there, expected a saved index")
    check_seal(path)
    try:
        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()["bctlib"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, expected {FORMAT!r}")
        for name, kind in _ABOUT.items():
            if not isinstance(about[name], kind):
                raise ValueError(f"its {name} is {about[name]!r}")
        index = faiss.deserialize_index(arrays.pop("faiss")) if "faiss" in arrays else None
        n = 0 if index is None else index.ntotal
        for name, kind in _ARRAYS.items():
            array = arrays[name]
            if array.dtype != kind or array.shape != (n,):
                raise ValueError(f"its {name} are {array.dtype} {array.shape}, not {np.dtype(kind)} [{n}]")
        if about["kind"] not in KINDS or (index is not None and index.d != about["dim"]):
            raise ValueError(f"its index is of kind {about['kind']!r}, dimension {about['dim']}")
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BctError(f"{path} is not an index of this version ({' '.join(str(error).split())})") from error
    return about, arrays, index
