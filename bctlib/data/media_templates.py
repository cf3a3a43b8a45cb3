"""Template embeddings pooled by media, as the IJB benchmarks prescribe.

Within a template the images of one medium (a video, or a photograph) are averaged, media are summed, and the sum is
L2-normalised once. An image counts as f(x) + f(flip x), norm kept, times the detector's score of it. Common scripts
call that N1 D1 F1 and do not mean the same by it; here

* N1 (`normalise_images=False`): the norm of an image feature is kept; N0: each is normalised first;
* D1 (`weight` given): an image feature is multiplied by its detector score; D0: it is not;
* F1 (`halves=True`): a row of the features holds f(x) and f(flip x) side by side, and they are added; with
  `halves=False` a row is taken as it is, be it f(x) alone or a sum made before.
"""

import warnings

import numpy as np
import torch
import torch.nn.functional as F

from bctlib.base.errors import BctError

BLOCK_ROWS = 1 << 15


def templates_by_media(
    features: np.ndarray,
    template: np.ndarray,
    medium: np.ndarray,
    n_templates: int,
    weight: np.ndarray | None = None,
    normalise_images: bool = False,
    halves: bool = False,
) -> np.ndarray:
    """Pool image features into template embeddings by a weighted segment sum.

    features: real [n, d], one row per image ([n, 2d] with `halves`); may be a memory map, is read once in blocks.
    template: int [n], 0 to n_templates - 1; medium: int [n], any numbering, also one shared by templates.
    weight: float [n], the detector's scores. Returns float32 [n_templates, d], rows of norm 1; a template without
    images, or whose images cancel, is a row of zeros.
    By hand: (2,0) and (0,2) of one medium and (3,0) of another give (4,1)/sqrt(17).

    Raises BctError for arrays that do not fit together, and naming the row for a feature that is not finite.
    """
    _check(features, template, medium, n_templates, weight, halves)
    factor = _media_weights(template, medium)
    if weight is not None:
        factor *= weight
    summed = torch.zeros(n_templates, features.shape[1])
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        rows = _rows(features[block])
        factors = torch.from_numpy(factor[block])
        if normalise_images:
            whole = rows[:, : rows.shape[1] // 2] + rows[:, rows.shape[1] // 2 :] if halves else rows
            factors = factors / whole.norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        order = np.argsort(template[block], kind="stable")
        owners, starts = np.unique(template[block][order], return_index=True)
        order = torch.from_numpy(order)
        pooled = F.embedding_bag(
            order, rows, torch.from_numpy(starts), mode="sum", per_sample_weights=factors.float()[order]
        )
        summed[torch.from_numpy(owners.astype(np.int64))] += pooled
    if halves:
        summed = summed[:, : summed.shape[1] // 2] + summed[:, summed.shape[1] // 2 :]
    norms = summed.norm(dim=1, keepdim=True)
    if not torch.isfinite(norms).all():
        raise BctError(_first_fault(features))
    return (summed / norms.clamp_min(torch.finfo(torch.float32).tiny)).numpy()


def _media_weights(template: np.ndarray, medium: np.ndarray) -> np.ndarray:
    """1 / number of images of the image's medium within its template: float32 [n]."""
    codes = np.unique(medium, return_inverse=True)[1].reshape(-1).astype(np.int64)
    keys = template.astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes
    _, of_image, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return (1 / counts).astype(np.float32)[of_image.reshape(-1)]


def _rows(block: np.ndarray) -> torch.Tensor:
    block = np.ascontiguousarray(block, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")  # a read-only memory map; it is only read here
        return torch.from_numpy(block)


def _check(features, template, medium, n_templates, weight, halves) -> None:
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind not in "fiu":
        raise BctError(f"image features are {features.dtype} {features.shape}, expected numbers [images, dimension]")
    if halves and features.shape[1] % 2:
        raise BctError(f"image features have {features.shape[1]} columns: two halves of one width were announced")
    n = len(features)
    given = {"template": template, "medium": medium} | ({} if weight is None else {"weight": weight})
    for name, values in given.items():
        if np.shape(values) != (n,):
            raise BctError(f"{name} has shape {np.shape(values)}, expected one entry for each of the {n} images")
    if len(template) and not 0 <= template.min() <= template.max() < n_templates:
        raise BctError(f"template goes from {template.min()} to {template.max()}, expected 0 to {n_templates - 1}")


def _first_fault(features: np.ndarray) -> str:
    for start in range(0, len(features), BLOCK_ROWS):
        good = np.isfinite(np.asarray(features[start : start + BLOCK_ROWS], dtype=np.float32)).all(axis=1)
        if not good.all():
            return f"image features: row {start + int(np.flatnonzero(~good)[0])} holds NaN, infinite or huge values"
    return "image features are so large that the norm of a sum overflows"
