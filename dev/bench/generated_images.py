"""Seeded stand-ins for training images: glyph-like bytes in memory, and JPEG files in a folder for each identity."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from bctlib.data.training_set import TrainingSet

_PATTERNS = 4096


def generated_glyphs(images: int, classes: int, side: int = 28, seed: int = 0) -> TrainingSet:
    """Blobs of ink in 16 levels, as glyphs have them. A label says nothing of its picture: only speed is measured."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(min(images, _PATTERNS), 1, 7, 7, generator=rng)
    smooth = F.interpolate(coarse, size=(side, side), mode="bilinear")[:, 0]
    patterns = (torch.sigmoid(4 * smooth - 2) * 15).round().to(torch.uint8) * 17
    chosen = torch.randint(0, len(patterns), (images,), generator=rng)
    names = tuple(f"{number:07d}" for number in range(classes))
    return TrainingSet(patterns[chosen], torch.arange(images) % classes, names)


def write_photographs(root: Path, count: int, side: int = 112, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """ROOT/0000000/00.jpg and so on, 20 of an identity, RGB with the noise of photographs: paths below root, bytes."""
    rng = np.random.default_rng(seed)
    paths, sizes = [], []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = (smooth + rng.integers(-12, 13, smooth.shape, dtype=np.int16)).clip(0, 255).astype(np.uint8)
        path = root / f"{number // 20:07d}" / f"{number % 20:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(path, quality=90)
        paths.append(path.relative_to(root).as_posix())
        sizes.append(path.stat().st_size)
    return paths, np.array(sizes)
