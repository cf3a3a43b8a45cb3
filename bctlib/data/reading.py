"""Image files read and decoded in worker processes, as batches of bytes.

Workers draw no random number: what a batch holds depends on its positions alone, never on how many workers there are.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from bctlib.data.framing import Framing
from bctlib.data.image_files import read_image
from bctlib.data.path_list import PathList
from bctlib.errors import BctError

MOST_WORKERS = 16


def default_workers() -> int:
    """One worker for each CPU core this process may use, up to 16; processes that torchrun started share the cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), MOST_WORKERS))


@dataclass(frozen=True)
class ImageList(Dataset):
    """Files below `root` and what of each is seen; the unit that workers read from."""

    root: Path
    paths: PathList
    framing: Framing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> np.ndarray:
        """uint8 [height,width,3]. Raises BctError that names the file."""
        path = self.root / self.paths[position]
        image = read_image(path)
        try:
            return self.framing(position, image)
        except BctError as error:
            raise BctError(f"{path}: {error}") from error

    def __getitems__(self, positions: list[int]) -> torch.Tensor | str:
        """A whole batch: uint8 [n,3,height,width], channels last in memory, or the sentence that says what failed.

        An exception would cross the process border with its traceback in its text.
        """
        height, width = self.framing.size
        batch = np.empty((len(positions), height, width, 3), np.uint8)
        for row, position in enumerate(positions):
            try:
                batch[row] = self[position]
            except BctError as error:
                return str(error)
        return torch.from_numpy(batch).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Batches:
    """Consecutive pieces of an order, as lists made one at a time."""

    order: np.ndarray
    size: int

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self.order), self.size):
            yield self.order[start : start + self.size].tolist()


def _as_it_is(batch: torch.Tensor | str) -> torch.Tensor | str:
    return batch


def read_batches(
    images: ImageList, order: np.ndarray, size: int, workers: int, device: torch.device | None = None
) -> Iterator[torch.Tensor]:
    """uint8 [n,3,height,width] on `device`, for each `size` positions of `order` (integers [m]); the last is shorter.

    workers: processes, no more than there are batches; 0, or a single batch, reads in this one. Raises BctError that
    names the first file of a batch that cannot be read, and when a worker dies.
    """
    device = device or torch.device("cpu")
    on_cuda = device.type == "cuda"
    batches = _Batches(np.asarray(order), size)
    workers = min(workers, len(batches)) if len(batches) > 1 else 0
    loader = DataLoader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_as_it_is,
        # Seeds of the workers come from here, not from the global generator, which training has seeded.
        generator=torch.Generator().manual_seed(0),
        prefetch_factor=4 if workers else None,
        pin_memory=on_cuda,
    )
    try:
        for batch in loader:
            if isinstance(batch, str):
                raise BctError(batch)
            yield batch.to(device, non_blocking=on_cuda)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise BctError(
            f"a process that reads images below {images.root} died: "
            f"use fewer than {workers} workers, or give the machine more shared memory (/dev/shm)"
        ) from error


@dataclass(frozen=True)
class ReadingSpeed:
    """n images of `n_bytes` in all, read by `workers` processes within `seconds`, start of the processes included."""

    n: int
    n_bytes: int
    seconds: float
    workers: int

    @property
    def images_per_s(self) -> float:
        return self.n / self.seconds

    def line(self) -> str:
        rate, mb = self.images_per_s, self.n_bytes / 1e6
        how = f"{self.workers} worker processes" if self.workers else "this process alone"
        return f"reading: {rate:.0f} images/s, {mb / self.seconds:.1f} MB/s ({self.n} images by {how})"


def reading_speed(images: ImageList, n: int = 2000, workers: int | None = None, size: int = 64) -> ReadingSpeed:
    """Measure it on n images at random (all, if there are fewer), fixed by a seed.

    Files that the operating system still holds in memory are read faster than the disk would give them. Raises
    BctError as `read_batches` does.
    """
    workers = default_workers() if workers is None else workers
    order = np.random.default_rng(0).permutation(len(images))[:n]
    n_bytes = sum((images.root / images.paths[i]).stat().st_size for i in order)
    began = time.perf_counter()
    for _ in read_batches(images, order, size, workers):
        pass
    return ReadingSpeed(len(order), n_bytes, time.perf_counter() - began, workers)
