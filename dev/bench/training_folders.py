"""The part of `bench training` on image files: how fast they are decoded, and how fast a training step takes them."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from dev.bench.generated_images import write_photographs
from dev.bench.matrix_peak import wait_for
from dev.bench.timed import Passes
from dev.bench.harness import Bench, flops_of
from bctlib.data.photos.sets import ImageFolderSet, image_folder_set
from bctlib.data.photos.index import index_of
from bctlib.data.photos.reading import default_workers
from companion.measure.plans import IMAGES_PER_S
from bctlib.models import MODELS

BATCH = 64
"""Files that a worker decodes at a time."""


@dataclass(frozen=True)
class HeldBatch(ImageFolderSet):
    """Files of which the first batch is decoded once and then given again and again: a step that waits for no file."""

    held: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list, compare=False)

    def batches(self, order: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if not self.held:
            self.held.append(next(super().batches(torch.arange(size), size)))
        for _ in range(len(order) // size):
            yield self.held[0]


def measure_decoding(data: ImageFolderSet, passes: int) -> Passes:
    """Whole passes over the files, without their beginning, in which the workers start and fill their queue."""
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
    """JPEG files of faces' size, decoded by workers, against what a training step can take."""
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
        guess = IMAGES_PER_S[amount.photo_net]
        each = row.images_per_s / default_workers()
        bench.say(f"a GPU at {guess:,} images/s (a guess, not measured) would need {guess / each:.0f} such cores")
