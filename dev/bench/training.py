"""`./reproduce.sh bench training`: how fast models are trained here, beside a plain loop and the machine's own limit.

Everything is measured in one run on one machine, in medians over passes after one that does not count. Images are
generated; nothing is read from or written to the store.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch

from dev.bench.matrix_peak import matrix_peak
from dev.bench.measure import load
from dev.bench.parser import BenchParser
from dev.bench.harness import Amount, Bench
from dev.bench.training_folders import folders
from dev.bench.training_parts import growth, loop, methods
from dev.bench.training_rows import Table
from bctlib.base.files import replace_atomically
from bctlib.base.progress import PROGRESS_FILE, clock
from bctlib.base.provenance import provenance
from dev.bench.figures import draw
from bctlib.networks import BACKBONES
from bctlib.training.devices import choose_device
from bctlib.training.scales import SETTINGS

PARTS: dict[str, Callable[[Bench], None]] = {"loop": loop, "methods": methods, "growth": growth, "folders": folders}
MINUTES = {"loop": 1.5, "methods": 1.5, "growth": 2.5, "folders": 1}
"""About what each part takes at desk scale on two cores."""

_GROWTH = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SMALL = Amount(2, 2, 2, (64, 640), 160, 1, 16, "rehearsal-net")
REAL = {
    "cpu": Amount(24, 5, 32, _GROWTH, 4_000, 1, 32, "resnet101"),
    "cuda": Amount(100, 5, 32, _GROWTH, 20_000, 10, 320, "resnet101"),
}


def main(words: list[str]) -> int:
    """`bench training [--only PARTS] [--scale SCALE] [--out DIR] ...`; gives the exit status."""
    options = _parser().parse_args(words)
    device = choose_device(options.device)
    amount = SMALL if options.small else REAL[device.type]
    settings = SETTINGS["smoke" if options.small else options.scale]
    busy = load()
    where = provenance(str(device))["device"]
    print(f"{where}; {os.cpu_count()} cores" + ("" if busy is None else f", load before {busy:.1f}"))
    if busy is not None and busy > 0.5:
        print("the machine is busy: rates are too low, and ratios rough")
    if not options.small:
        print(f"takes about {clock(60 * sum(MINUTES[part] for part in options.only))} at desk scale on two cores")
    peak = matrix_peak(device, 256 if options.small else None)
    print(f"matrix product, {peak.dtype}, {peak.side} x {peak.side}: {peak.flops_per_s / 1e9:,.0f} GFLOP/s", flush=True)
    bench = Bench(settings, amount, device, Table(peak), options.network)
    with _no_progress():
        for part in PARTS:
            if part in options.only:
                PARTS[part](bench)
    if options.out is not None:
        _write(bench, options.out, busy)
    return 0


@contextmanager
def _no_progress() -> Iterator[None]:
    """The loop's own lines would stand between the rows of the table."""
    before = os.environ.get(PROGRESS_FILE)
    os.environ[PROGRESS_FILE] = os.devnull
    try:
        yield
    finally:
        os.environ.pop(PROGRESS_FILE)
        if before is not None:
            os.environ[PROGRESS_FILE] = before


def _write(bench: Bench, folder: Path, busy: float | None) -> None:
    peak = bench.table.peak
    content = {
        "provenance": provenance(str(bench.device)), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "load_before": busy, "amount": asdict(bench.amount), "batch": bench.settings.schedule.batch,
        "peak": asdict(peak) | {"flops_per_s": peak.flops_per_s},
        "rows": [row.as_dict() for row in bench.table.rows], "sentences": bench.sentences,
        "operators": [asdict(operator) for operator in bench.operators[:20]],
    }  # fmt: skip
    path = folder / "bench-training.json"
    text = json.dumps(content, indent=1) + "\n"
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    files = [path, *draw(content, folder)]
    print(f"\nwritten to {folder}: {', '.join(file.name for file in files)}")


def _parser() -> BenchParser:
    parser = BenchParser("training", __doc__)
    parser.add_argument("--small", action="store_true", help="tiny amounts: seconds, but no figures of worth")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS), help="some of the parts")
    parser.add_argument("--scale", choices=SETTINGS, default="desk", help="whose networks, batch and identities")
    parser.add_argument("--network", choices=BACKBONES, help="another network than the scale's")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write bench-training.json and a figure here")
    return parser
