"""`./reproduce.sh bench heads`: time and memory of the loss of a head with very many classes.

The paper's heads (59 k new and 30 k old classes at 128 dimensions, Sec. 3.2) are measured in full, for the whole batch
of 320 and for the share of one of several processes. A million classes at 512 dimensions are measured with a sixteenth
of the classes, to which time and memory are proportional; the rest is arithmetic. The question is whether a head must
be divided among processes by classes, which costs an exchange of embeddings at every step.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from bctlib.losses import CosineMargin
from bctlib.training.devices import choose_device
from dev.bench.measure import BenchParser, Timing, load, measure

BATCH = 320
SHARES = (1, 2, 8)
MB = 1e6
PART = 16  # of the million classes one in so many is measured


@dataclass(frozen=True)
class Case:
    """A trained head of `classes` and a frozen one of `old` at `dim` dimensions, on `batch` images.

    part: one in `part` classes is measured; the counts here are those of the whole head.
    """

    name: str
    classes: int
    old: int
    dim: int
    batch: int
    part: int = 1

    @property
    def kept_mb(self) -> float:
        """Weights, gradient and momentum of the trained head, and weights of the frozen one: kept between steps."""
        return 4 * self.dim * (3 * self.classes + self.old) / MB

    @property
    def working_mb(self) -> float:
        """The peak of what a step needs in addition: three arrays of logits beside the unit rows, or four of rows.

        The latter belong to the gradient of the row normalisation, after the logits are freed. Heads run one by one.
        """
        logits = self.classes * (self.dim + 3 * self.batch) + self.old * self.batch
        return 4 * max(logits, 4 * self.classes * self.dim) / MB

    @property
    def sent_mb(self) -> float:
        """The head's gradient, which several processes average at every step."""
        return 4 * self.dim * self.classes / MB

    @property
    def gflop(self) -> float:
        """Operations of the matrix products: forward, and backward to embedding and rows (of the trained head)."""
        return 2 * self.batch * self.dim * (3 * self.classes + 2 * self.old) / 1e9


def cases() -> list[Case]:
    """The paper's heads and the large one, for the whole batch and for parts of it."""
    found = []
    for name, classes, old, dim, part in (("paper", 59_000, 30_000, 128, 1), ("large", 1_000_000, 0, 512, PART)):
        found += [Case(f"{name}, 1 of {n}", classes, old, dim, BATCH // n, part) for n in SHARES]
    return found


def measured(case: Case, device: torch.device, repeats: int = 3) -> Timing:
    """Seconds and memory of one forward and backward pass of the loss, on the case's part of the classes."""
    generator = torch.Generator().manual_seed(0)
    z = F.normalize(torch.randn(case.batch, case.dim, generator=generator)).to(device).requires_grad_()
    labels = torch.randint(case.classes // case.part, (case.batch,), generator=generator).to(device)
    new = CosineMargin(case.classes // case.part, case.dim).to(device)
    old = CosineMargin(max(1, case.old // case.part), case.dim).to(device).requires_grad_(False)
    old_labels = torch.where(labels < old.classes, labels, -1)

    def step() -> None:
        new.weight.grad = z.grad = None
        loss = new.loss(z, labels)
        if case.old:
            loss = loss + old.loss(z, old_labels)
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    first, _ = measure(step)  # later ones go on in memory that the allocator kept
    timing, _ = measure(step, repeats)
    peak = (torch.cuda.max_memory_allocated(device) - before) / MB if device.type == "cuda" else first.peak_mb
    return Timing(timing.seconds, timing.cpu_s, peak)


def main(words: Sequence[str]) -> int:
    """`bench heads [--device DEVICE] [--small]`; returns the exit status."""
    parser = BenchParser("heads", __doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--small", action="store_true", help="a hundredth of the classes, to try it")
    options = parser.parse_args(words)
    device = choose_device(options.device)
    busy = load()
    print(f"{device}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, load before {busy or 0:.1f}")
    print(f"{'':28}{'- measured on a part -':>32}{'- by arithmetic, all classes -':>47}")
    print(
        f"{'head, share of 320':<20}{'images':>8}{'classes':>10}{'s':>9}{'MB':>8}{'GFLOP/s':>9}"
        f"{'s':>9}{'kept MB':>9}{'step MB':>9}{'sent MB':>9}"
    )
    for case in cases():
        part = case.part * (100 if options.small else 1)
        case = Case(case.name, case.classes, case.old, case.dim, case.batch, part)
        timing = measured(case, device)
        print(_line(case, timing), flush=True)
    return 0


def _line(case: Case, timing: Timing) -> str:
    memory = "-" if timing.peak_mb is None else f"{timing.peak_mb:.0f}"
    return (
        f"{case.name:<20}{case.batch:>8}{(case.classes + case.old) // case.part:>10,}{timing.seconds:>9.3f}{memory:>8}"
        f"{case.gflop / case.part / timing.seconds:>9.0f}{timing.seconds * case.part:>9.2f}"
        f"{case.kept_mb:>9.0f}{case.working_mb:>9.0f}{case.sent_mb:>9.0f}"
    )
