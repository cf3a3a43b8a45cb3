"""The checkpoint from which an interrupted training resumes. It is written often, and verified when it is read.

A safetensors file with the sha256 of its content. One rename replaces the previous checkpoint, so that a process killed
at any moment leaves one complete file. It is not flushed to the disk: after a power cut it may be damaged. Then the
damage is detected, and training starts again.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from bctlib.base.errors import BctError
from bctlib.base.files import remove_leftovers, replace_atomically
from bctlib.training.tensors_file import ABOUT, as_text, read_tensors, write_tensors

FORMAT = "bctlib-checkpoint-1"


class Checkpoint:
    """The checkpoint of one recipe.

    path: the file. key: the recipe's. device: what computes now, in words.
    """

    def __init__(self, path: Path, key: str, device: str = ""):
        self.path, self.key, self.device = path, key, device
        self._before: list[str] = []
        self._written = False

    @property
    def devices(self) -> list[str]:
        """All devices that had a part: those of former processes, and this one's once it has written."""
        current = [self.device] if self._written or not self._before else []
        return [name for name in self._before if name not in current] + current

    def write(self, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
        """Replace the former checkpoint. tensors: contiguous, on the CPU; about: anything that JSON holds.

        Raises BctError when it cannot be written; the former one is then still there.
        """
        self._written = True
        about = {"format": FORMAT, "recipe": self.key, "devices": self.devices, **about}
        text = as_text(about)
        write_tensors(self.path, tensors, text, put=replace_atomically, sha256=_digest(text, tensors))

    def read(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """What `write` was given, or None where there is no checkpoint.

        Raises BctError naming the file when it is damaged, of another version of the library or of another recipe.
        """
        if not self.path.exists():
            return None
        try:
            metadata, tensors = read_tensors(self.path)
            text, expected = metadata[ABOUT], metadata["sha256"]
            if _digest(text, tensors) != expected:
                raise BctError(f"the checkpoint {self.path} is damaged")
            about = json.loads(text)
            kind, recipe, devices = about["format"], about["recipe"], list(about["devices"])
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BctError(f"the checkpoint {self.path} is damaged or not a checkpoint") from error
        if kind != FORMAT:
            raise BctError(f"the checkpoint {self.path} has the format {kind!r}, expected {FORMAT!r}")
        if recipe != self.key:
            raise BctError(f"the checkpoint {self.path} is of the recipe {recipe}, expected {self.key}")
        self._before = devices
        return tensors, about


def remove_checkpoint(path: Path) -> None:
    """Delete the checkpoint and any unfinished temporary files. In a store that is read-only they stay."""
    with contextlib.suppress(OSError):
        remove_leftovers(path)
        path.unlink(missing_ok=True)


def _digest(text: str, tensors: dict[str, torch.Tensor]) -> str:
    """sha256 over the text and over every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
