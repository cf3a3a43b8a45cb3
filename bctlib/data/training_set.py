"""Labelled training images held in memory as bytes, on the device that trains."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from bctlib.data.distortion import normalise
from bctlib.data.glyph_set import GlyphSet
from bctlib.errors import BctError


@dataclass(frozen=True)
class TrainingSet:
    """images: uint8 [N,S,S], 0 = paper. labels: int64 [N] into `classes`, whose names are sorted.

    Names, not indices, tie the classes of one model to those of another.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "TrainingSet":
        return TrainingSet(self.images.to(device), self.labels.to(device), self.classes)

    def plain_batches(self, size: int = 1024) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(float32 [n,1,S,S] in the evaluation transform, int64 [n]) in order, each image once."""
        for start in range(0, len(self), size):
            yield normalise(self.images[start : start + size]), self.labels[start : start + size]


def glyph_training_set(glyphs: GlyphSet, identities: np.ndarray) -> TrainingSet:
    """Every image of the given identities (indices into the glyph set); a typeface that lacks a kanji is skipped.

    Raises BctError if no identity is given.
    """
    if len(identities) == 0:
        raise BctError("the training set has no identity, expected at least 1")
    identities = np.array(sorted(identities, key=lambda i: glyphs.characters[i]))
    held = glyphs.present[identities]
    labels, typefaces = np.nonzero(held)
    images = glyphs.images[identities[labels], typefaces]
    classes = tuple(glyphs.characters[i] for i in identities)
    return TrainingSet(torch.from_numpy(images), torch.from_numpy(labels), classes)
