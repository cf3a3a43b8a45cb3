"""`./reproduce.sh bench training`: the speed of training, beside a plain loop and the machine's measured peak.

Everything is measured in one run on one machine, as medians over passes after one that is not counted. Images are
generated; the store is neither read nor written.

The part of `bench training` on image files: how fast they are decoded, and how fast a training step takes them.

The parts of `bench training` on glyphs: each measures, prints its rows and enters them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from bctlib.base.files import replace_atomically
from bctlib.base.progress import clock, hidden
from bctlib.base.provenance import provenance
from bctlib.data.photos.index import index_of
from bctlib.data.photos.reading import default_workers
from bctlib.data.photos.sets import ImageFolderSet, image_folder_set
from bctlib.data.training_set import TrainingSet
from bctlib.methods import METHODS, OldModel
from bctlib.models import MODELS, ModelSpec
from bctlib.networks import BACKBONES
from bctlib.training.devices import choose_device
from bctlib.training.loop import train
from bctlib.training.scales import SETTINGS
from companion.launcher.share.matrix_peak import flops_of, matrix_peak, wait_for
from companion.measure.training_speed import GUESSES, Passes
from companion.sources.generated import SIDE, generated_glyphs
from dev.bench.figures import draw_speed
from dev.bench.generated import write_photographs
from dev.bench.harness import Amount, Bench, Table
from dev.bench.measure import BenchParser, load
from dev.bench.plain_loop import measure_plain
from dev.bench.profiled import bottleneck, operator_table, profile_training

BATCH = 64
"""Files that a worker decodes in one batch."""


@dataclass(frozen=True)
class HeldBatch(ImageFolderSet):
    """A set whose first batch is decoded once and then repeated, so that no step waits for a file."""

    held: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list, compare=False)

    def batches(self, order: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if not self.held:
            self.held.append(next(super().batches(torch.arange(size), size)))
        for _ in range(len(order) // size):
            yield self.held[0]


def measure_decoding(data: ImageFolderSet, passes: int) -> Passes:
    """Passes over the files, without the beginning, in which the workers start and fill their queue."""
    order = torch.arange(len(data) // BATCH * BATCH)
    skipped = max(1, min(4 * data.workers, len(order) // BATCH // 2))
    seconds = []
    for _ in range(passes):
        for number, _batch in enumerate(data.batches(order, BATCH), 1):
            if number == skipped:
                began = time.perf_counter()
        wait_for(data.device)
        seconds.append(time.perf_counter() - began)
    return Passes(len(order) - skipped * BATCH, tuple(seconds))


def folders(bench: Bench) -> None:
    """Decoding speed of JPEG files of the size of faces, beside the speed of a training step."""
    amount = bench.amount
    with tempfile.TemporaryDirectory(prefix="bct-bench-") as name:
        root = Path(name)
        paths, sizes = write_photographs(root, amount.photographs)
        index = index_of(root, paths, [path.split("/")[0] for path in paths], sizes)
        data = image_folder_set(index).to(bench.device)
        recipe = replace(bench.recipe(MODELS["new*"]), backbone=amount.photo_net, distortion={})
        recipe = replace(recipe, schedule=replace(recipe.schedule, batch=amount.photo_batch))
        flops = sum(flops_of(recipe, len(data.classes), (3, 112, 112)).values())
        bench.table.heading(
            f"{len(data):,} JPEG files of 112 x 112 pixels, {sizes.mean() / 1e3:.1f} kB each; "
            f"{recipe.backbone}, batch {amount.photo_batch}"
        )
        held = HeldBatch(data.images, data.labels, data.classes, 0, data.device)
        step = f"training step of {recipe.backbone}"
        passes = bench.measure(recipe, held, images=amount.photo_steps * amount.photo_batch)
        appetite = bench.table.add("folders", step, passes, flops).images_per_s
        for workers in dict.fromkeys((0, 1, default_workers())):
            how = f"decoding by {workers} worker{'s' if workers > 1 else ''}" if workers else "decoding without workers"
            passes = measure_decoding(replace(data, workers=workers), amount.passes)
            row = bench.table.add("folders", how, passes, ratio_to=step)
    bench.say(f"{row.name} gives {row.images_per_s / appetite:.1f} times what this step takes")
    if bench.device.type == "cpu":
        guess, _ = GUESSES[amount.photo_net]
        each = row.images_per_s / default_workers()
        bench.say(f"a GPU at {guess:,} images/s (a guess, not measured) would need {guess / each:.0f} such cores")


FULL_EPOCH_S = 60.0
"""Longer epochs are measured on some steps and extrapolated."""
TARGET_RATIO = {"cpu": 4, "cuda": 20}
TARGET_SHARE = 0.5


def loop(bench: Bench) -> None:
    """This loop beside the plain one, and where it falls short of the peak."""
    recipe, classes = bench.recipe(MODELS["new*"]), bench.settings.source.n_train
    flops = flops_of(recipe, classes, (1, SIDE, SIDE))
    total = sum(flops.values())
    bench.table.heading(
        f"{recipe.backbone}, {SIDE} x {SIDE} pixels, {classes:,} identities, batch {recipe.schedule.batch}: "
        f"{total / 1e6:.1f} MFLOP an image, forward and backward"
    )
    measurements = {"ours": partial(bench.measure, recipe, bench.data, passes=1)}
    for workers in (0, default_workers()):
        name = f"plain loop, {workers} workers" if workers != 1 else "plain loop, 1 worker"
        measurements[name] = partial(measure_plain, recipe, bench.data, bench.device, bench.images, 1, workers)
    ours, *plain = (
        bench.table.add("loop", name, passes, total, None if name == "ours" else "ours")
        for name, passes in bench.in_turns(measurements).items()
    )
    best = min(plain, key=lambda row: row.ratio)
    found = profile_training(recipe, bench.data, bench.device, bench.images, flops, bench.table.peak)
    bench.operators += found
    print(f"\n{operator_table(found)}\n")
    bench.say(
        f"ours is {best.ratio:.1f} times as fast as the plain loop ({best.name.split(', ')[1]}, its better form); "
        f"target: {TARGET_RATIO[bench.device.type]}, {_met(best.ratio >= TARGET_RATIO[bench.device.type])}"
    )
    bench.say(
        f"ours computes at {100 * ours.share_of_peak:.0f} % of the measured {bench.table.peak.dtype} matrix product; "
        f"target: {100 * TARGET_SHARE:.0f} %, {_met(ours.share_of_peak >= TARGET_SHARE)}"
    )
    bench.say(bottleneck(found))


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def methods(bench: Bench) -> None:
    """Each method of the model list, by the first model that has it, relative to independent training."""
    first: dict[str, ModelSpec] = {}
    for spec in (MODELS["new*"], *MODELS.values()):
        first.setdefault(spec.method, spec)
    classes = bench.settings.source.n_train
    data = generated_glyphs(max(8 * classes, bench.images), classes, SIDE)
    old = _old_model(bench, data)
    bench.table.heading(f"the methods; the old model knows half of the {classes:,} identities")
    measured = bench.in_turns({
        method: partial(bench.measure, bench.recipe(first[method]), data, old, passes=1)
        for method in METHODS
        if method in first
    })  # fmt: skip
    for method, passes in measured.items():
        prepared = passes.preparing
        name = method if first[method].dim == old.dim else f"{method}, {first[method].dim} dimensions"
        note = f"before, once: {len(data) / prepared:,.0f} images/s through the old model" if prepared else ""
        bench.table.add("methods", name, passes, ratio_to=None if method == "independent" else "independent", note=note)


def _old_model(bench: Bench, data: TrainingSet) -> OldModel:
    """An old model after one step of training; its accuracy does not matter here."""
    recipe, half = bench.recipe(MODELS["old"]), len(data.classes) // 2
    known = (data.labels < half).nonzero()[: recipe.schedule.batch, 0]
    few = TrainingSet(data.images[known], data.labels[known], data.classes[:half])
    trained = train(replace(recipe, schedule=replace(recipe.schedule, epochs=1)), few, None, bench.device, "old")
    return OldModel(trained.backbone, trained.head, trained.classes)


def growth(bench: Bench) -> None:
    """Seconds of an epoch over sets of several sizes; the head grows with them."""
    bench.table.heading("an epoch, 32 images of each identity")
    recipe = bench.recipe(MODELS["new*"])
    for images in bench.amount.growth:
        classes = images // 32
        data = generated_glyphs(images, classes, SIDE)
        passes = bench.measure(recipe, data, images=min(images, bench.images))
        if passes.images < images and passes.median * images / passes.images <= FULL_EPOCH_S:
            passes = bench.measure(recipe, data, images=images, passes=1)
        flops = sum(flops_of(recipe, classes, (1, SIDE, SIDE)).values())
        bench.table.add("growth", f"{images:,} images, {classes:,} identities", passes, flops, epoch=images)


LEAST_BESIDE = 0.4
"""The least share of the idle rate that is left beside one busy process per core."""


def beside(bench: Bench) -> None:
    """The training loop on the machine as it is, then beside one process per core that never waits."""
    recipe, cores = bench.recipe(MODELS["new*"]), os.cpu_count() or 1
    bench.table.heading(f"beside {cores} busy processes; {torch.get_num_threads()} thread(s)")
    bench.table.add("beside", "as it is", bench.measure(recipe, bench.data))
    with busy_processes(cores):
        row = bench.table.add("beside", "beside them", bench.measure(recipe, bench.data), ratio_to="as it is")
    bench.say(
        f"beside a busy process per core {100 / row.ratio:.0f} % of the rate is left; "
        f"target: {100 * LEAST_BESIDE:.0f} %, {_met(1 / row.ratio >= LEAST_BESIDE)}"
    )


@contextmanager
def busy_processes(count: int) -> Iterator[list[subprocess.Popen]]:
    """So many processes that never wait, until the end of the block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield running
    finally:
        for each in running:
            each.kill()
            each.wait()


PARTS: dict[str, Callable[[Bench], None]] = {
    "loop": loop, "methods": methods, "growth": growth, "beside": beside, "folders": folders,
}  # fmt: skip
MINUTES = {"loop": 1.5, "methods": 1.5, "growth": 2.5, "beside": 0.5, "folders": 1}
"""The approximate time of each part at desk scale on two cores."""

_GROWTH = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SMALL = Amount(2, 2, 2, (64, 640), 160, 1, 16, "rehearsal-net")
REAL = {
    "cpu": Amount(24, 5, 32, _GROWTH, 4_000, 1, 32, "resnet101"),
    "cuda": Amount(100, 5, 32, _GROWTH, 20_000, 10, 320, "resnet101"),
}


def main(words: list[str]) -> int:
    """`bench training [--only PARTS] [--scale SCALE] [--out DIR] ...`; returns the exit status."""
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
    with hidden():  # progress lines would appear between the rows of the table
        for part in PARTS:
            if part in options.only:
                PARTS[part](bench)
    if options.out is not None:
        _write(bench, options.out, busy)
    return 0


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
    files = [path, *draw_speed(content, folder)]
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
