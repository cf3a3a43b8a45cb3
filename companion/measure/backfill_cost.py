"""What a backfill costs: images in the gallery times seconds per image."""

import time
from collections.abc import Callable

import torch

from bctlib.data.photos.distortion import normalise_colour
from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.data.templates import ImagePool
from companion.workbench import Workbench
from bctlib.training.features import embed_images
from bctlib.training.artefact import Artefact

GALLERY_SIZES = (10**6, 10**8, 10**9)


def backfill_seconds(n_images: int, seconds_per_image: float) -> float:
    """Seconds to embed every gallery image once more: reading and decoding the images is not counted."""
    return n_images * seconds_per_image


def seconds_per_image(bench: Workbench, model: str = "new-bct-sys", n_images: int = 2048, rounds: int = 5) -> float:
    """Measured seconds that the model needs for one image of the test pool: the fastest of some rounds.

    The fastest, because what else the machine does can only slow a round down. Images lie in memory and come in batches
    of 1024 (photographs: 256); a first round, which warms up, is not counted.
    """
    embed, n_images = embedding(bench.protocols().pool, bench.model(model), n_images, bench.on)
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        embed()
        seconds.append((time.perf_counter() - began) / n_images)
    return min(seconds[1:])


def embedding(
    pool: ImagePool | ImageFilePool, model: Artefact, n_images: int, device: torch.device
) -> tuple[Callable[[], object], int]:
    """What embeds the pool's first images, which lie in memory, and how many these are; of files 256 at most."""
    if isinstance(pool, ImagePool):
        images = pool.images[:n_images]
        return lambda: embed_images(model, images, device), len(images)
    batch = normalise_colour(next(iter(pool.batches(min(n_images, 256), workers=0, device=device))))
    return lambda: model.embed(batch).cpu(), len(batch)
