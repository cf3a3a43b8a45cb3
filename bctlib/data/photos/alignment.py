"""Faces aligned by five landmarks: a similarity transform onto reference points of a 112 x 112 image.

Pixel coordinates are those of the landmark files: (0, 0) is the centre of the top left pixel, x to the right, y down.
"""

import numpy as np
import torch
import torch.nn.functional as F

from bctlib.base.errors import BctError

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
