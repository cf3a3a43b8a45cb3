"""Labelled training images: the interface that training uses, and the implementation in memory as bytes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from bctlib.base.errors import BctError
from bctlib.base.share import Share, to_device
from bctlib.data.distortion import TrainingDistortion, normalise
from bctlib.data.glyphs import GlyphSet

Distort = Callable[[torch.Tensor, torch.Generator, Share | None], torch.Tensor]
"""(stored images, CPU generator, share of the batch that the images are; None: the whole batch) -> float32 [n,C,H,W] on
the same device. Randomness depends on the state of the generator only."""


class TrainingData(Protocol):
    """N labelled images from any source. classes: sorted names; labels (int64) are indices into them.

    Classes of two models are matched by name, not by index. Labels stay on the CPU, so that code on the CPU can use
    them without waiting for a GPU.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> "TrainingData":
        """The same set with images on `device`."""

    def batches(self, order: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(stored images, labels) for each `size` positions of `order` (int64 [m], CPU); the last may be shorter."""

    def distortion(self, settings: Mapping[str, Any]) -> Distort:
        """The function that distorts stored images for training. Raises BctError for invalid settings."""

    def plain_batches(self, size: int = ..., share: Share | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(float32 [n,C,H,W] in the evaluation transform, labels) in order, each image of the share (None: all) once.

        size: images in a batch; each implementation has its own default.
        """


@dataclass(frozen=True)
class TrainingSet:
    """The `TrainingData` of glyphs (`ImageFolderSet` is the other implementation).

    images: uint8 [N,S,S], 0 = paper, on the device that trains. labels: int64 [N] into `classes`, on the CPU.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "TrainingSet":
        return replace(self, images=self.images.to(device))

    def batches(self, order: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(uint8 [n,S,S], int64 [n]) for each `size` positions of `order`, as `TrainingData` says."""
        for chosen in order.split(size):
            yield self.images[to_device(chosen, self.images.device)], self.labels[chosen]

    def distortion(self, settings: Mapping[str, Any]) -> TrainingDistortion:
        """The function that distorts a batch of glyphs. Raises BctError for an invalid magnitude."""
        return TrainingDistortion(**settings)

    def plain_batches(
        self, size: int = 1024, share: Share | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(float32 [n,1,S,S] in the evaluation transform, int64 [n]) in order, each image of the share once."""
        share = share or Share.whole(len(self))
        for images, labels in zip(share.of(self.images).split(size), share.of(self.labels).split(size), strict=True):
            yield normalise(images), labels


def glyph_training_set(glyphs: GlyphSet, identities: np.ndarray, least_drawn: float = 0.0) -> TrainingSet:
    """Every image of the given identities (indices into the glyph set); a typeface that lacks a kanji is skipped.

    least_drawn: a typeface that draws a smaller share of all identities is left out. Raises BctError if no identity is
    given, or no typeface is left.
    """
    if len(identities) == 0:
        raise BctError("the training set has no identity, expected at least 1")
    identities = np.array(sorted(identities, key=lambda i: glyphs.characters[i]))
    drawn_enough = glyphs.present.mean(axis=0) >= least_drawn
    if not drawn_enough.any():
        raise BctError(f"no typeface draws {least_drawn:.0%} of the identities")
    held = glyphs.present[identities] & drawn_enough
    labels, typefaces = np.nonzero(held)
    images = glyphs.images[identities[labels], typefaces]
    classes = tuple(glyphs.characters[i] for i in identities)
    return TrainingSet(torch.from_numpy(images), torch.from_numpy(labels), classes)
