"""The group of training processes: rank, size, and the operations they perform together.

`torchrun` starts the processes; each enters `joined`, and `current_group()` returns its group. A process outside of any
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

# A process that waits (for a lock, an evaluation, a slow disk) is in order, and of one that died torchrun knows.
_PATIENCE = timedelta(days=30)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Processes:
    """rank: of this process, 0 to size - 1; size: how many there are on all machines together."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the only one that writes."""
        return self.rank == 0

    def check_batch(self, batch: int) -> None:
        """Raises UsageError where a global batch of that many images cannot be shared out equally."""
        if batch % self.size == 0:
            return
        divisors = [n for n in range(1, batch + 1) if batch % n == 0]
        near = [max(n for n in divisors if n < self.size)] + [n for n in divisors if n > self.size][:1]
        raise UsageError(
            f"a batch of {batch} images cannot be shared equally by {self.size} processes: "
            f"expected a number that divides it, like {' or '.join(map(str, near))}"
        )

    def share(self, total: int) -> Share:
        """This process's part of `total` rows in the order of ranks; none is longer than another by more than one."""
        start, stop = (total * rank // self.size for rank in (self.rank, self.rank + 1))
        return Share(total, start, stop, (stop - start) * self.size / max(total, 1))

    def share_of_batch(self, batch: int, n_images: int) -> Share:
        """This process's part of every batch of a set, whose only batch is smaller where it has fewer images.

        Raises UsageError where the processes cannot share the batch equally, and where some would have no image.
        """
        self.check_batch(batch)
        if n_images < self.size:
            raise UsageError(f"{n_images} training images are too few for {self.size} processes: expected one for each")
        return self.share(min(batch, n_images))

    def sum(self, local: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same bits in each: always added in the order of ranks."""
        if self.size == 1:
            return local
        parts = [torch.empty_like(local) for _ in range(self.size)]
        dist.all_gather(parts, local.contiguous())
        return torch.stack(parts).sum(0)

    def mean(self, local: torch.Tensor) -> torch.Tensor:
        """As `sum`, divided by the number of processes."""
        return self.sum(local) / self.size

    def of_first(self, local: Answer) -> Answer:
        """What rank 0 has here, in every process; they wait for it."""
        if self.size == 1:
            return local
        box = [local]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def agree(self, local: Answer) -> bool:
        """Whether all processes have the same here; they wait for one another."""
        if self.size == 1:
            return True
        answers = [None] * self.size
        dist.all_gather_object(answers, local)
        return all(answer == local for answer in answers)

    def rows_at_first(self, local: np.ndarray, total: int) -> np.ndarray | None:
        """All rows [total, d] in rank 0, of which each process has its `share`, float32; None in the others."""
        if self.size == 1:
            return local
        longest = -(-total // self.size)
        padded = torch.zeros(longest, local.shape[1])
        padded[: len(local)] = torch.from_numpy(local)
        parts = [torch.empty_like(padded) for _ in range(self.size)] if self.first else None
        dist.gather(padded, parts, dst=0)
        if parts is None:
            return None
        lengths = [len(Processes(rank, self.size).share(total)) for rank in range(self.size)]
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)]).numpy()

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Rank 0 goes through the block, then the others do: they find what it has written."""
        if not self.first:
            self.barrier()
        yield
        if self.first:
            self.barrier()

    def parallel(self, module: nn.Module) -> nn.Module:
        """`module`, whose gradients `backward` will average over the processes; as it is where there is only one."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module)

    def with_common_norms(self, network: nn.Module, device: torch.device) -> nn.Module:
        """`network`, whose batch normalisation sees the batch of all processes; as it is where there is only one."""
        return network if self.size == 1 else with_synchronised_norms(network, device)

    def device_text(self, device: str) -> str:
        """A device's name as provenance has it, with the number of processes where there are several."""
        return device if self.size == 1 else f"{device}, {self.size} processes"


_current = Processes()


def current_group() -> Processes:
    """This process's place among those that it joined; alone where it joined nobody."""
    return _current


def rank_and_size() -> tuple[int, int]:
    """This process's rank and how many there are, as torchrun's environment variables say it; (0, 1) without them."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: str = "auto") -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun's environment variables name, if there are any, for the length of the block.

    Gives the place among them and the device of this one: `device` as `choose_device` understands it, and with several
    processes on CUDA one GPU for each. Raises UsageError for a device that cannot be shared out.
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
