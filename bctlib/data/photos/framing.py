"""What part of an image file a network sees: all of it, a box, or a face aligned by its landmarks.

A framing turns image `i` of a list, uint8 [H,W,3], into uint8 [height,width,3]. It is plain arrays, so that worker
processes share it; `digest_arrays` names all that it depends on, and `take` is the framing of a part of the list.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from bctlib.data.photos.alignment import SIDE, align_face

FACE = (SIDE, SIDE)


class Framing(Protocol):
    """size: (height, width) of what comes out, in pixels."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def digest_arrays(self) -> tuple[np.ndarray, ...]: ...

    def take(self, positions: np.ndarray) -> "Framing": ...

    def __call__(self, position: int, image: np.ndarray) -> np.ndarray: ...


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image at (height, width), bilinear with a support that covers what is left out; as it is at that size."""
    if image.shape[:2] == size:
        return image
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class WholeImage:
    """All of the image. An aligned 112 x 112 crop is taken as it is; other sizes are resized, whatever their shape."""

    size: tuple[int, int] = FACE

    @property
    def digest_arrays(self) -> tuple[np.ndarray, ...]:
        return (np.array(self.size),)

    def take(self, positions: np.ndarray) -> "WholeImage":
        return self

    def __call__(self, position: int, image: np.ndarray) -> np.ndarray:
        return resized(image, self.size)


@dataclass(frozen=True)
class Boxes:
    """A box of each image, stated for a size that the file may no longer have.

    rects: int32 [n,4], x0 y0 x1 y1 in pixels of the stated size; stated: int32 [n,2], height and width. x is scaled by
    the real width over the stated one, y by the heights. margin: added on every side, as a share of the box.
    """

    rects: np.ndarray
    stated: np.ndarray
    size: tuple[int, int] = FACE
    margin: float = 0.0

    @property
    def digest_arrays(self) -> tuple[np.ndarray, ...]:
        return self.rects, self.stated, np.array([*self.size, self.margin])

    def take(self, positions: np.ndarray) -> "Boxes":
        return Boxes(self.rects[positions], self.stated[positions], self.size, self.margin)

    def __call__(self, position: int, image: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = scaled_rect(self.rects[position], self.stated[position], image.shape[:2], self.margin)
        return resized(np.ascontiguousarray(image[y0:y1, x0:x1]), self.size)


def scaled_rect(
    rect: np.ndarray, stated: np.ndarray, real: tuple[int, int], margin: float = 0.0
) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) in an image of `real` (height, width), for a rect in an image of `stated` (height, width).

    Edges are rounded to whole pixels; the box stays inside the image and is at least one pixel wide and high.
    """
    height, width = real
    down, across = height / float(stated[0]), width / float(stated[1])
    x0, y0, x1, y1 = (float(edge) for edge in rect)
    wider, higher = margin * (x1 - x0), margin * (y1 - y0)
    left = min(max(round((x0 - wider) * across), 0), width - 1)
    top = min(max(round((y0 - higher) * down), 0), height - 1)
    right = max(min(round((x1 + wider) * across), width), left + 1)
    bottom = max(min(round((y1 + higher) * down), height), top + 1)
    return left, top, right, bottom


@dataclass(frozen=True)
class AlignedFaces:
    """Faces aligned onto 112 x 112 by five landmarks. points: float32 [n,5,2], x y in pixels of the file."""

    points: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return FACE

    @property
    def digest_arrays(self) -> tuple[np.ndarray, ...]:
        return (self.points,)

    def take(self, positions: np.ndarray) -> "AlignedFaces":
        return AlignedFaces(self.points[positions])

    def __call__(self, position: int, image: np.ndarray) -> np.ndarray:
        return align_face(image, self.points[position])
