"""The file format of models, checkpoints and saved search indexes: safetensors, with one JSON text as metadata.

Nothing is unpickled. `framework` is "pt" for PyTorch tensors or "np" for NumPy arrays, which need no PyTorch.
"""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bctlib.base.errors import BctError
from bctlib.base.files import seal

_MODULES = {"pt": "safetensors.torch", "np": "safetensors.numpy"}
ABOUT = "bctlib"
"""The metadata field that holds the JSON text."""


def as_text(about: Mapping[str, Any]) -> str:
    """The JSON text of what a file says about its tensors."""
    return json.dumps(about, ensure_ascii=False)


def write_tensors(
    path: Path,
    tensors: Mapping[str, Any],
    text: str,
    framework: str = "pt",
    put: Callable[[Path, Callable[[Path], None]], None] = seal,
    **more: str,
) -> None:
    """Write tensors and text. Raises BctError when the file cannot be written.

    tensors: contiguous, on the CPU. put: `seal` or `replace_atomically` of `bctlib.base.files`. more: further metadata.
    """
    save_file = import_module(_MODULES[framework]).save_file
    try:
        put(path, lambda temporary: save_file(tensors, temporary, {ABOUT: text, **more}))
    except SafetensorError as error:  # safetensors reports a full disk by an error of its own
        raise BctError(f"cannot write {path}: {error}") from error


def read_tensors(path: Path, framework: str = "pt") -> tuple[dict[str, str], dict[str, Any]]:
    """The metadata, whose field ABOUT is the text, and the tensors by name.

    Raises ValueError for a file that is not in the safetensors format, OSError for one that cannot be read.
    """
    try:
        with safe_open(path, framework) as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def is_ours(path: Path) -> bool:
    """Whether bctlib has written this file: other safetensors files have no such text."""
    try:
        with safe_open(path, "np") as file:
            return ABOUT in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False
