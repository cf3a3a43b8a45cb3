"""The share of a batch or data set that one of several processes works on; and copies to the training device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from bctlib.base.errors import BctError

Rows = TypeVar("Rows", bound=Sequence)


@dataclass(frozen=True)
class Share:
    """Rows `start` up to `stop` of `total`. weight: its length relative to the mean share, 1 where all are equal."""

    total: int
    start: int
    stop: int
    weight: float = 1.0

    @classmethod
    def whole(cls, total: int) -> "Share":
        return cls(total, 0, total)

    def __len__(self) -> int:
        return self.stop - self.start

    def of(self, rows: Rows) -> Rows:
        """This share of `rows` [total, ...], a view of an array or tensor. Raises BctError for another length."""
        if len(rows) != self.total:
            raise BctError(f"a share of {self.total} rows was asked of {len(rows)}")
        return rows[self.start : self.stop]

    def of_each(self, order: torch.Tensor) -> torch.Tensor:
        """This share of each batch in a row: [k * total] to [k * len(self)]."""
        return order.view(-1, self.total)[:, self.start : self.stop].reshape(-1)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on `device`; itself where that is the CPU.

    To a GPU it goes through page-locked memory and the CPU does not wait: a plain copy would block until the GPU has
    finished all work queued before it.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
