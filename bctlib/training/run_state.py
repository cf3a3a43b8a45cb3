"""The state of a training run: saved to a checkpoint, and restored from it.

Order, distortion and learning rate follow from recipe, epoch and step, so the state is the networks, the optimiser
and a few counters. A resumed run ends with the weights of an uninterrupted one (bit-equal on one CPU thread).
"""

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from bctlib.base import deadline, progress
from bctlib.base.errors import BctError, Diverged
from bctlib.training.checkpoint import Checkpoint
from bctlib.training.processes import current_group

EVERY_S = 180.0  # between two checkpoints within an epoch; each epoch ends in one besides
BUSY = 0.75  # of a core: a training that had less says that the machine is busy
CHECK_EVERY = 32  # steps between two looks at the losses where each look would make the host wait for the device


class CoreShare:
    """The share of a core that this thread had between `start` and `stop`, where it only computes."""

    LEAST_S = 1.0  # of computing, before a share is told

    def __init__(self):
        self._spent = self._had = 0.0
        self._share: float | None = None
        self.start()

    def start(self) -> None:
        self._began = time.perf_counter(), time.thread_time()

    def stop(self) -> None:
        self._spent += time.perf_counter() - self._began[0]
        self._had += time.thread_time() - self._began[1]

    def taken(self) -> float | None:
        """The share since the last call, or the last one told where that is less than LEAST_S ago (None at first)."""
        if self._spent >= self.LEAST_S:
            self._share, self._spent, self._had = self._had / self._spent, 0.0, 0.0
        return self._share


class RunState:
    """Networks, the method's own parameters, optimiser, and how far the run is.

    epoch: epochs that are finished; step: steps of the one under way. losses: mean loss of each finished epoch; total:
    sum over the one under way. seconds: spent so far, former processes included. Tensors are on the training device.
    """

    def __init__(
        self, label: str, backbone: nn.Module, head: nn.Module, own: Iterable[nn.Parameter],
        optimiser: torch.optim.Optimizer, epochs: int, steps_per_epoch: int, checkpoint: Checkpoint | None = None,
    ):  # fmt: skip
        self.label, self.optimiser, self.checkpoint = label, optimiser, checkpoint
        self.backbone, self.head, self.own = backbone, head, list(own)
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        device = next(backbone.parameters()).device
        self.epoch = self.step = 0
        self.losses: list[float] = []
        self.total = torch.zeros((), device=device)
        self._latest = torch.zeros(CHECK_EVERY if device.type == "cuda" else 1, device=device)
        self._began = self._saved = time.perf_counter()
        self._core = CoreShare() if device.type == "cpu" and current_group().size == 1 else None

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def steps(self) -> int:
        """Steps done since the beginning."""
        return self.epoch * self.steps_per_epoch + self.step

    @property
    def loss(self) -> float:
        """Mean loss of the epoch under way, or of the last one between two. Makes the host wait for the device."""
        return self.total.item() / self.step if self.step else self.losses[-1]

    def busy_note(self) -> dict[str, float | str]:
        """A field for the display if other programs take the core away, else none.

        Of one process on a CPU: others wait for a device or for each other, which looks the same.
        """
        share = self._core.taken() if self._core else None
        if share is None or share >= BUSY:
            return {}
        return {"machine": f"busy (this training has {100 * share:.0f} % of a core)"}

    def begin_step(self) -> None:
        """Call this when a step has its images, before `add`: waiting for files says nothing about the core."""
        if self._core:
            self._core.start()

    def add(self, loss: torch.Tensor) -> None:
        """Count a step by its loss (float32 [], without gradient). Raises Diverged for one that is not finite.

        On a GPU the loss is looked at every CHECK_EVERY steps and before each checkpoint, so that no step waits for it.
        Raises OutOfTime after a checkpoint, when the deadline (`bctlib.base.deadline`) has passed.
        """
        if self._core:
            self._core.stop()
        self.total += loss
        self._latest[self.step % len(self._latest)] = loss
        self.step += 1
        if self.step % len(self._latest) == 0:
            self._look()
        if self.step < self.steps_per_epoch and self._due():
            self._save()
            self._stop_in_time()

    def _due(self) -> bool:
        """Whether it is time for a checkpoint; several processes ask rank 0, and not at every step."""
        processes = current_group()
        if processes.size > 1 and self.step % CHECK_EVERY:
            return False
        return processes.of_first(time.perf_counter() - self._saved > EVERY_S or deadline.passed())

    def _stop_in_time(self) -> None:
        if current_group().of_first(deadline.passed()):
            place = self._place(self.steps)
            raise deadline.OutOfTime(f"{self.label}: time is over after {place}; it resumes there")

    def end_epoch(self) -> None:
        """Note the epoch's mean loss and write a checkpoint. Raises Diverged, or BctError if it cannot be written.

        Raises OutOfTime as `add` does, but not after the last epoch.
        """
        self._look()
        self.losses.append(self.total.item() / self.steps_per_epoch)
        self.total.zero_()
        self.epoch, self.step = self.epoch + 1, 0
        self._save()
        if self.epoch < self.epochs:
            self._stop_in_time()

    def resume(self) -> None:
        """Resume from the checkpoint, if there is one. An unusable checkpoint is reported and ignored.

        Raises BctError if several processes find different checkpoints.
        """
        found = None
        try:
            found = self.checkpoint.read() if self.checkpoint else None
            if found:
                self.restore(*found)
        except BctError as error:
            found = None
            progress.say(f"{self.label}: {error}; training begins anew")
        if not current_group().agree(self.steps):
            raise BctError(f"{self.label}: the processes find different checkpoints: expected one store for all")
        if found:
            within = f", after {self.step} of its {self.steps_per_epoch} steps" if self.step else ""
            place = f"at epoch {self.epoch + 1}" if self.epoch < self.epochs else f"after epoch {self.epoch}"
            progress.say(f"{self.label}: resuming {place} of {self.epochs}{within}")

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors, copied to the CPU, and counters. Raises Diverged rather than give any that is not finite."""
        live = self._networks()
        for name, parameter in self._parameters().items():
            if self.optimiser.state.get(parameter, {}).get("momentum_buffer") is not None:
                live[name] = self.optimiser.state[parameter]["momentum_buffer"]
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in live.items()}
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise self._diverged(f"a weight is not finite after {self._place(self.steps)}")
        counters = {"epoch": self.epoch, "step": self.step, "losses": self.losses, "seconds": self.seconds}
        return tensors, counters

    def restore(self, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
        """Take over what `state` gave. Raises BctError, and changes nothing, if it is of another network."""
        live, parameters = self._networks(), self._parameters()
        wanted = live | {name: parameter for name, parameter in parameters.items() if name in tensors}
        if _forms(wanted) != _forms(tensors):
            raise BctError("the checkpoint is of another network")
        epoch, step, losses, seconds = (about[name] for name in ("epoch", "step", "losses", "seconds"))
        with torch.no_grad():
            for name, tensor in live.items():
                tensor.copy_(tensors[name])
            for name in wanted.keys() - live.keys():  # laid out in memory like its parameter
                momentum = torch.empty_like(parameters[name]).copy_(tensors[name])
                self.optimiser.state[parameters[name]]["momentum_buffer"] = momentum
        self.epoch, self.step, self.losses = epoch, step, losses
        self._began = time.perf_counter() - seconds

    def _networks(self) -> dict[str, torch.Tensor]:
        """The tensors themselves, by name."""
        named = {f"backbone.{name}": tensor for name, tensor in self.backbone.state_dict().items()}
        named |= {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        return named | {f"method.{i}": parameter for i, parameter in enumerate(self.own)} | {"total": self.total}

    def _parameters(self) -> dict[str, nn.Parameter]:
        """What the optimiser holds, by the names under which its momentum is kept."""
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        return {f"momentum.{i}": parameter for i, parameter in enumerate(parameters)}

    def _save(self) -> None:
        self._saved = time.perf_counter()
        if self.checkpoint:
            self._look()
            state = self.state()
            if current_group().first:
                self.checkpoint.write(*state)

    def _look(self) -> None:
        """Raises Diverged if one of the latest losses is not finite. Makes the host wait for the device."""
        bad = (~self._latest.isfinite()).nonzero().flatten()
        if len(bad):
            window = (self.step - 1) // len(self._latest) * len(self._latest)
            place = self._place(self.epoch * self.steps_per_epoch + window + int(bad[0]) + 1)
            raise self._diverged(f"the loss is {self._latest[bad[0]].item()} in {place}")

    def _place(self, steps: int) -> str:
        """The last of so many steps, for people."""
        epoch, step = divmod(steps - 1, self.steps_per_epoch)
        return f"step {step + 1} of {self.steps_per_epoch} of epoch {epoch + 1} of {self.epochs}"

    def _diverged(self, what: str) -> Diverged:
        kept = ""
        if self.checkpoint and self.checkpoint.path.exists():
            kept = f"; the last good checkpoint is kept in {self.checkpoint.path}"
        return Diverged(f"{self.label}: {what}: lower the rate or lambda{kept}")


def _forms(tensors: dict[str, torch.Tensor]) -> dict[str, tuple]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
