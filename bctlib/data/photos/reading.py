"""Image files read and decoded by worker processes, as batches of bytes.

Workers draw no random numbers: the content of a batch depends on its positions alone, not on the number of workers.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bctlib.base.errors import BctError
from bctlib.data.photos.files import PathList, read_image
from bctlib.data.photos.framing import Framing
from bctlib.data.photos.readers import Died, Reader, can_start, started

MOST_WORKERS = 16


def default_workers() -> int:
    """One worker for each CPU core this process may use, up to 16; processes that torchrun started share the cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), MOST_WORKERS))


@dataclass(frozen=True)
class ImageList:
    """Files below `root` and what of each is seen; the unit that workers read from."""

    root: Path
    paths: PathList
    framing: Framing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> np.ndarray:
        """uint8 [height,width,3]. Raises BctError that names the file, whatever went wrong with it."""
        path = self.root / self.paths[position]
        image = read_image(path)
        try:
            return self.framing(position, image)
        except BctError as error:
            raise BctError(f"{path}: {error}") from error
        except Exception as error:
            raise BctError(f"{path}: cannot be used ({type(error).__name__}: {error})") from error

    def fill(self, positions: np.ndarray, out: np.ndarray) -> None:
        """Write the images at those positions into `out`, uint8 [n,height,width,3]. Raises BctError as above."""
        for row, position in enumerate(positions):
            out[row] = self[position]

    @property
    def made_in_script(self) -> bool:
        """Whether workers must import the script that runs: its framing is a class of the script's own."""
        return type(self.framing).__module__ == "__main__"


def read_batches(
    images: ImageList, order: np.ndarray, size: int, workers: int, device: torch.device | None = None
) -> Iterator[torch.Tensor]:
    """uint8 [n,3,height,width] on `device`, channels last in memory, for each `size` positions of `order` (integers
    [m]); the last is shorter.

    workers: processes, no more than there are batches; 0, or a single batch, reads in this one, as does a process that
    may not start others. Raises BctError that names the first file of a batch that cannot be read, and when a worker
    cannot be started or dies.
    """
    device = device or torch.device("cpu")
    on_cuda = device.type == "cuda"
    order, shape = np.asarray(order), (*images.framing.size, 3)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    workers = min(workers, len(batches)) if len(batches) > 1 and can_start() else 0
    with started(images, batches, shape, workers) as readers:
        for number, positions in enumerate(batches):
            batch = torch.empty(len(positions), *shape, dtype=torch.uint8, pin_memory=on_cuda)
            if readers:
                _receive(readers[number % workers], batch.numpy(), images.root, workers)
            else:
                images.fill(positions, batch.numpy())
            yield batch.permute(0, 3, 1, 2).to(device, non_blocking=on_cuda)


def _receive(reader: Reader, out: np.ndarray, root: Path, workers: int) -> None:
    try:
        reader.receive(out)
    except Died as how:
        raise BctError(
            f"a process that reads images below {root} died: use fewer than {workers} workers, or give the machine "
            f"more memory ({how})"
        ) from how


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
