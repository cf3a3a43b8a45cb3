"""The group of training processes: rank, size, and the operations they perform together.

`torchrun` starts the processes; each enters `joined`, and `current_group()` returns its group. A process without a
group is a group of size 1, whose operations return their argument, so that training and embedding need no second code
path.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bctlib.base.errors import UsageError
from bctlib.base.share import Share
from bctlib.training.devices import choose_device
from bctlib.training.synchronised_norm import with_synchronised_norms

# Waiting is normal (for a lock, an evaluation, a slow disk), and torchrun detects a process that died.
_PATIENCE = timedelta(days=30)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Processes:
    """rank: number of this process, 0 to size - 1; size: number of processes on all machines."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the only one that writes."""
        return self.rank == 0

    def check_batch(self, batch: int) -> None:
        """Raises UsageError if a global batch of `batch` images cannot be divided equally."""
        if batch % self.size == 0:
            return
        divisors = [n for n in range(1, batch + 1) if batch % n == 0]
        near = [max(n for n in divisors if n < self.size)] + [n for n in divisors if n > self.size][:1]
        raise UsageError(
            f"a batch of {batch} images cannot be shared equally by {self.size} processes: "
            f"expected a number that divides it, like {' or '.join(map(str, near))}"
        )

    def share(self, total: int) -> Share:
        """This process's part of `total` rows, in the order of ranks; lengths of parts differ by one at most."""
        start, stop = (total * rank // self.size for rank in (self.rank, self.rank + 1))
        return Share(total, start, stop, (stop - start) * self.size / max(total, 1))

    def share_of_batch(self, batch: int, n_images: int) -> Share:
        """This process's part of every batch; a set with fewer images than `batch` has one smaller batch.

        Raises UsageError if the batch cannot be divided equally, and if some process would have no image.
        """
        self.check_batch(batch)
        if n_images < self.size:
            raise UsageError(f"{n_images} training images are too few for {self.size} processes: expected one for each")
        return self.share(min(batch, n_images))

    def sum(self, local: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, added in the order of ranks, so that every process gets the same bits."""
        if self.size == 1:
            return local
        parts = [torch.empty_like(local) for _ in range(self.size)]
        dist.all_gather(parts, local.contiguous())
        return torch.stack(parts).sum(0)

    def mean(self, local: torch.Tensor) -> torch.Tensor:
        """`sum` divided by the number of processes."""
        return self.sum(local) / self.size

    def least(self, local: torch.Tensor) -> torch.Tensor:
        """The smallest of each element over all processes."""
        if self.size == 1:
            return local
        found = local.clone()
        dist.all_reduce(found, dist.ReduceOp.MIN)
        return found

    def of_first(self, local: Answer) -> Answer:
        """The value of rank 0, in every process; all processes wait for it."""
        if self.size == 1:
            return local
        box = [local]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def agree(self, local: Answer) -> bool:
        """Whether all processes have the same value; they wait for each other."""
        if self.size == 1:
            return True
        answers = [None] * self.size
        dist.all_gather_object(answers, local)
        return all(answer == local for answer in answers)

    def rows_at_first(self, local: np.ndarray, total: int) -> np.ndarray | None:
        """All rows float32 [total, d] in rank 0, collected from the `share` of each process; None in the others."""
        if self.size == 1:
            return local
        padded = self._padded(torch.from_numpy(local), total)
        parts = [torch.empty_like(padded) for _ in range(self.size)] if self.first else None
        dist.gather(padded, parts, dst=0)
        return None if parts is None else self._joined(parts, total).numpy()

    def rows_of_all(self, local: torch.Tensor, total: int) -> torch.Tensor:
        """All rows [total,...], in every process, without gradient, collected from the `share` of each process."""
        local = local.detach()
        if self.size == 1:
            return local
        padded = self._padded(local, total)
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return self._joined(parts, total)

    def _padded(self, local: torch.Tensor, total: int) -> torch.Tensor:
        """This process's `share` of `total` rows, with rows of zeros up to the longest share."""
        padded = local.new_zeros(-(-total // self.size), *local.shape[1:])
        padded[: len(local)] = local
        return padded

    def _joined(self, parts: list[torch.Tensor], total: int) -> torch.Tensor:
        """The rows of all processes in the order of ranks, without those of `_padded`."""
        shares = [Processes(rank, self.size).share(total) for rank in range(self.size)]
        return torch.cat([part[: len(share)] for part, share in zip(parts, shares, strict=True)])

    def barrier(self) -> None:
        """Wait until every process has reached this call."""
        if self.size > 1:
            dist.barrier()

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Rank 0 runs the block first, then the others run it, so that they find the files that rank 0 has written."""
        if not self.first:
            self.barrier()
        yield
        if self.first:
            self.barrier()

    def parallel(self, module: nn.Module) -> nn.Module:
        """`module` with gradients averaged over the processes by `backward`; unchanged if there is only one process."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module)

    def with_common_norms(self, network: nn.Module, device: torch.device) -> nn.Module:
        """`network` with batch normalisation over all processes; unchanged if there is only one process."""
        return network if self.size == 1 else with_synchronised_norms(network, device)

    def device_text(self, device: str) -> str:
        """A device's name for provenance, with the number of processes if there are several."""
        return device if self.size == 1 else f"{device}, {self.size} processes"


_current = Processes()


def current_group() -> Processes:
    """The group that this process has joined, or a group of size 1."""
    return _current


def rank_and_size() -> tuple[int, int]:
    """Rank of this process and number of processes, from torchrun's environment variables; (0, 1) without them."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: str = "auto") -> Iterator[tuple[Processes, torch.device]]:
    """Join the group that torchrun's environment variables describe, if any, until the end of the block.

    Yields the group and the device of this process: `device` as in `choose_device`, and with several processes on CUDA
    one GPU for each. Raises UsageError if the processes cannot get a GPU each.
    """
    global _current
    rank, size = rank_and_size()
    chosen = choose_device(device)
    if size == 1:
        yield _current, chosen
        return
    own = _own_device(chosen)
    backend = "gloo"
    if own.type == "cuda":
        torch.cuda.set_device(own)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    _current = Processes(rank, size)
    try:
        yield _current, own
        dist.destroy_process_group()  # not after an error: it would wait for the others
    finally:
        _current = Processes()


def _own_device(chosen: torch.device) -> torch.device:
    """The device of this process among those of its machine."""
    if chosen.type == "cpu":
        return chosen
    if chosen.index is not None:
        raise UsageError(f"device {chosen} is one GPU, but several processes need one each: expected cuda or auto")
    local, count = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if local > count:
        raise UsageError(f"{local} processes on this machine need a GPU each, but PyTorch sees {count}")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
