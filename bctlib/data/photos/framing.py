"""The part of an image file that a network sees: all of it, a box, or a face aligned by its landmarks.

A framing turns image `i` of a list, uint8 [H,W,3], into uint8 [height,width,3]. It consists of plain arrays, which
worker processes share; `digest_arrays` returns everything it depends on, and `take` is the framing of a part of the
list. Faces are aligned by a similarity transform of five landmarks onto reference points of a 112 x 112 image.

Pixel coordinates are those of the landmark files: (0, 0) is the centre of the top left pixel, x to the right, y down.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from bctlib.base.errors import BctError, UsageError

SIDE = 112

REFERENCE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Left eye, right eye, nose, left and right corner of the mouth (as the viewer sees them), float64 [5,2]."""


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """float64 [2,3]: the rotation, uniform scale and shift that bring source nearest to target, without reflection.

    source, target: [k,2] points. Least squares in closed form (Umeyama, 1991). Raises BctError for other shapes,
    for numbers that are not finite, and where all source points coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise BctError(f"alignment: points have shapes {source.shape} and {target.shape}, expected [k,2] twice, k > 1")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise BctError("alignment: a point is not finite, expected numbers")
    centre, target_centre = source.mean(0), target.mean(0)
    spread = np.mean(np.sum((source - centre) ** 2, axis=1))
    if spread < 1e-12:
        raise BctError("alignment: all source points coincide, expected different ones")
    covariance = (target - target_centre).T @ (source - centre) / len(source)
    u, strength, v = np.linalg.svd(covariance)
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(v))])  # -1 would be a mirror image
    linear = (u * sign) @ v * (strength @ sign / spread)
    return np.column_stack([linear, target_centre - linear @ centre])


def warp(image: np.ndarray, transform: np.ndarray, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """uint8 [height,width,C]: the image moved by `transform`, bilinear, 0 beyond its border.

    image: uint8 [H,W,C]; transform: [2,3], from input to output pixels. Rounded exactly once; scripts that use
    OpenCV's fixed-point arithmetic differ by a grey level or two.
    """
    h, w = image.shape[:2]
    inverse = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2]
    # Only the part that is seen is copied; all of a large photograph would cost more than the warp itself.
    corners = inverse @ [[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]]
    left, top = (max(0, min(size - 1, int(np.floor(low)))) for low, size in zip(corners.min(1), (w, h), strict=True))
    right, bottom = (max(0, int(np.ceil(high)) + 1) for high in corners.max(1))
    image = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    h, w = image.shape[:2]
    # grid_sample's coordinates: -1 and 1 are the outer edges of the first and the last pixel.
    x, y = np.arange(width), np.arange(height)[:, None]
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0] = (inverse[0, 0] * x + (inverse[0, 1] * y + (inverse[0, 2] - left + 0.5))) * (2 / w) - 1
    grid[..., 1] = (inverse[1, 0] * x + (inverse[1, 1] * y + (inverse[1, 2] - top + 0.5))) * (2 / h) - 1
    pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    moved = F.grid_sample(pixels, torch.from_numpy(grid)[None], padding_mode="zeros", align_corners=False)
    return moved[0].round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def align_face(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """uint8 [112,112,3] of an uint8 image [H,W,3] and its landmarks [5,2] in pixels. Raises BctError as above."""
    return warp(image, similarity_transform(landmarks, REFERENCE_POINTS))


FACE = (SIDE, SIDE)


def check_size(size: tuple[int, int] | None, name: str = "image_size") -> None:
    """Raises UsageError unless `size` is None or (height, width), two whole numbers of pixels from 1 on."""
    if size is None:
        return
    if not isinstance(size, tuple | list) or len(size) != 2 or any(type(n) is not int or n < 1 for n in size):
        raise UsageError(f"{name} is {size!r}, expected (height, width): two whole numbers of pixels from 1 on")


class Framing(Protocol):
    """size: (height, width) of what comes out, in pixels."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def digest_arrays(self) -> tuple[np.ndarray, ...]: ...

    def take(self, positions: np.ndarray) -> "Framing": ...

    def __call__(self, position: int, image: np.ndarray) -> np.ndarray: ...


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image at (height, width), bilinear over all pixels; unchanged if it has that size."""
    if image.shape[:2] == size:
        return image
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class WholeImage:
    """All of the image: unchanged if it has the size `size`, else resized, whatever its shape."""

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
