"""What a backfill costs: images in the gallery times seconds per image."""

import time

from bctlib.experiments.workbench import Workbench
from bctlib.features.extract import embed_images

GALLERY_SIZES = (10**6, 10**8, 10**9)


def backfill_seconds(n_images: int, seconds_per_image: float) -> float:
    """Seconds to embed every gallery image once more: reading and decoding the images is not counted."""
    return n_images * seconds_per_image


def seconds_per_image(bench: Workbench, model: str = "new-bct-sys", n_images: int = 2048, rounds: int = 5) -> float:
    """Measured seconds that the model needs for one image of the test pool: the fastest of some rounds.

    The fastest, because what else the machine does can only slow a round down. Images lie in memory and come in batches
    of 1024; a first round, which warms up, is not counted.
    """
    images = bench.protocols().pool.images[:n_images]
    artefact = bench.model(model)
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        embed_images(artefact, images, bench.on)
        seconds.append((time.perf_counter() - began) / len(images))
    return min(seconds[1:])
