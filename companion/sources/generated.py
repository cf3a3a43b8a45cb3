"""Generated training images, for timing: a training step is as fast on them as on real ones held in memory."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from bctlib.base.share import Share
from bctlib.data.photos.distortion import ColourDistortion, normalise_colour
from bctlib.data.training_set import TrainingSet

SIDE = 28
"""Height and width of a glyph, in pixels."""
_PATTERNS = 4096


def generated_glyphs(images: int, classes: int, side: int = SIDE, seed: int = 0) -> TrainingSet:
    """Blobs of ink in 16 levels, like glyphs. Labels are unrelated to the pictures, because only speed is measured."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(min(images, _PATTERNS), 1, 7, 7, generator=rng)
    smooth = F.interpolate(coarse, size=(side, side), mode="bilinear")[:, 0]
    patterns = (torch.sigmoid(4 * smooth - 2) * 15).round().to(torch.uint8) * 17
    chosen = torch.randint(0, len(patterns), (images,), generator=rng)
    return TrainingSet(patterns[chosen], torch.arange(images) % classes, _names(classes))


class PhotoSet(TrainingSet):
    """Photographs in memory, uint8 [N,3,H,W], distorted as those in files are."""

    def distortion(self, settings: Mapping[str, Any]) -> ColourDistortion:
        """The function that distorts a batch of photographs. Raises BctError for an invalid magnitude."""
        return ColourDistortion(**settings)

    def plain_batches(self, size: int = 256, share: Share | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(float32 [n,3,H,W] in the evaluation transform, int64 [n]) in order, each image of the share once."""
        share = share or Share.whole(len(self))
        for images, labels in zip(share.of(self.images).split(size), share.of(self.labels).split(size), strict=True):
            yield normalise_colour(images), labels


def generated_photos(images: int, classes: int, size: tuple[int, int], seed: int = 0) -> PhotoSet:
    """Noise of height and width `size`; labels are unrelated to it."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 256, (images, 3, *size), generator=rng, dtype=torch.uint8)
    return PhotoSet(noise, torch.arange(images) % classes, _names(classes))


def _names(classes: int) -> tuple[str, ...]:
    return tuple(f"{number:07d}" for number in range(classes))
