"""Profiles the unchanged training loop: the share of each PyTorch operator in a pass."""

import os
from dataclasses import dataclass, replace

import torch
from torch.profiler import ProfilerActivity, profile

from bctlib.data.training_set import TrainingData
from bctlib.training.loop import train
from bctlib.training.recipe import Recipe
from companion.launcher.share.matrix_peak import MatrixPeak, wait_for
from companion.measure.training_speed import TimedSet


@dataclass(frozen=True)
class OperatorTime:
    """share: of the time of all operators, without those that they call. share_of_peak: None where it multiplies no
    matrices, as far as PyTorch counts."""

    name: str
    share: float
    calls: int
    share_of_peak: float | None = None

    @property
    def above_peak(self) -> float:
        """The share of the time that would be saved at the matrix peak, or without the operator if it has none."""
        return self.share * (1 - min(1.0, self.share_of_peak or 0.0))


def profile_training(
    recipe: Recipe, data: TrainingData, device: torch.device, images: int, flops: dict[str, float], peak: MatrixPeak
) -> list[OperatorTime]:
    """The operators of one pass over `images` images, after one that is not counted; the most expensive first.

    flops: of an image, by operator.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler reports about itself on stderr
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    profiler = profile(activities=activities)
    timed = TimedSet(data, images, on_pass=lambda number: profiler.start() if number == 1 else None)
    train(replace(recipe, schedule=replace(recipe.schedule, epochs=2)), timed, None, device, "profile")
    wait_for(device)
    profiler.stop()
    kind = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    times = {event.key: (getattr(event, kind), event.count) for event in profiler.key_averages()}
    whole = sum(microseconds for microseconds, _ in times.values())
    found = []
    for name, (microseconds, calls) in times.items():
        counted = _flops_of(name, flops) * images
        reached = counted / (microseconds * 1e-6) / peak.flops_per_s if counted and microseconds else None
        found.append(OperatorTime(name, microseconds / whole, calls, reached))
    return sorted(found, key=lambda operator: -operator.share)


def _flops_of(name: str, flops: dict[str, float]) -> float:
    """Operations of an operator by its executed name: oneDNN and cuDNN rename convolutions."""
    library = {"aten::mkldnn_convolution": "aten::convolution", "aten::cudnn_convolution": "aten::convolution"}
    return flops.get(library.get(name, name), 0.0)


def bottleneck(operators: list[OperatorTime]) -> str:
    """A sentence that names the operator with the most time to save."""
    next_one = max(operators, key=lambda operator: operator.above_peak)
    reached = next_one.share_of_peak
    how = "which multiplies no matrices" if reached is None else f"at {100 * reached:.0f} % of the matrix peak"
    return f"next bottleneck: {next_one.name}, {100 * next_one.share:.0f} % of the time, {how}"


def operator_table(operators: list[OperatorTime], rows: int = 8) -> str:
    """The most expensive operators, one line each."""
    lines = [f"{'operator':<44}{'of time':>10}{'calls':>10}{'of peak':>17}"]
    for operator in operators[:rows]:
        reached = "" if operator.share_of_peak is None else f"{100 * operator.share_of_peak:.0f} %"
        lines.append(f"{operator.name:<44}{100 * operator.share:>8.1f} %{operator.calls:>10}{reached:>17}".rstrip())
    return "\n".join(lines)
