"""A pool of images and the templates over it: what a protocol embeds, and what it compares.

Neither knows where its images come from. A template (paper Sec. 3.1) is one or more images of one identity.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


def digest(*arrays: np.ndarray) -> str:
    """Short sha256 of the arrays' dtypes, shapes and bytes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()[:16]


@dataclass(frozen=True)
class ImagePool:
    """Every image that the protocols use, once. n images, S pixels a side.

    identity, typeface: int64 [n], indices into the glyph set; condition: int64 [n], into CAPTURE_CONDITIONS;
    images: uint8 [n,S,S] as captured, 0 = paper, 255 = ink.
    """

    identity: np.ndarray
    typeface: np.ndarray
    condition: np.ndarray
    images: np.ndarray

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.identity)

    @cached_property
    def key(self) -> str:
        """Digest of the content: features of a model on these images are addressed by it."""
        return digest(self.identity, self.typeface, self.condition, self.images)


@dataclass(frozen=True)
class TemplateSet:
    """t templates over an image pool, in compressed rows.

    image_index: int64 [m], positions in the pool; start: int64 [t+1], template i has the images
    image_index[start[i]:start[i+1]], at least one; identity: int64 [t], indices into the glyph set or, for IJB-C,
    subject numbers. weight: float32 [m], what each of these images counts, or None where each counts 1.
    """

    image_index: np.ndarray
    start: np.ndarray
    identity: np.ndarray
    weight: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of templates."""
        return len(self.identity)

    @property
    def images_per_template(self) -> np.ndarray:
        """int64 [t]."""
        return np.diff(self.start)

    def images_of(self, template: int) -> np.ndarray:
        """Positions in the pool of one template's images, int64."""
        return self.image_index[self.start[template] : self.start[template + 1]]

    def without(self, identities: np.ndarray) -> "TemplateSet":
        """The templates of all other identities, in the same order, over the same pool."""
        keep = ~np.isin(self.identity, identities)
        lengths = self.images_per_template
        start = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
        images = np.repeat(keep, lengths)
        weight = None if self.weight is None else self.weight[images]
        return TemplateSet(self.image_index[images], start, self.identity[keep], weight)

    def take(self, templates: np.ndarray) -> "TemplateSet":
        """The templates at those positions, in that order, over the same pool."""
        lengths = self.images_per_template[templates]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        images = np.arange(start[-1]) - np.repeat(start[:-1] - self.start[templates], lengths)
        weight = None if self.weight is None else self.weight[images]
        return TemplateSet(self.image_index[images], start, self.identity[templates], weight)
