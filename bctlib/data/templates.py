"""Image pools, templates over them, and template embeddings by three rules.

A template (paper Sec. 3.1) is one or more images of one identity. Pools and templates do not depend on the source of
the images.

`template_embeddings` sums the image features of a template, with weights if it has them, and normalises the sum once.

`templates_by_media` pools as the IJB benchmarks prescribe: images of one medium (a video, or a photograph) are
averaged, media are summed, and the sum is L2-normalised once. The feature of an image is f(x) + f(flip x), norm kept,
times its detector score. Common scripts call this N1 D1 F1 with different meanings; here

* N1 (`normalise_images=False`): the norm of an image feature is kept; N0: each is normalised first;
* D1 (`weight` given): an image feature is multiplied by its detector score; D0: it is not;
* F1 (`halves=True`): a row of the features holds f(x) and f(flip x) side by side, and they are added; with
  `halves=False` a row is used unchanged, whether it is f(x) alone or a sum.

`attention_embeddings` weighs the images of a template by attention, which Sec. 2.1 mentions beside the average. For
image features f_i of weights w_i (1 if there are none), with u_i = f_i / |f_i|:

    m   = sum_i w_i f_i / |sum_i w_i f_i|                     the average prototype (`template_embeddings`)
    a_i = exp(u_i . m / T) / sum_j exp(u_j . m / T)           softmax of each image's agreement with it
    c   = sum_i a_i w_i f_i / |sum_i a_i w_i f_i|             the prototype

The temperature T is its only parameter: an image that disagrees with the others (another person, a bad crop) counts
less, the more so the lower T; as T grows, c becomes m. The attention that the paper refers to has learned weights
instead. For one image, and for two of equal norm and weight, c is m.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bctlib.base.errors import BctError
from bctlib.metrics.blocks import unit_rows


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
    from scipy import sparse  # loading it takes longer than the other imports of this module

    factor = media_weights(template, medium, weight)
    summed = np.zeros((n_templates, features.shape[1]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # values that are not finite are named below
        for start in range(0, len(features), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            rows = np.ascontiguousarray(features[block], dtype=np.float32)
            factors = factor[block].astype(np.float32)
            if normalise_images:
                factors /= _norms(_sum_of_halves(rows) if halves else rows)
            owners, place = np.unique(template[block], return_inverse=True)
            at = place.reshape(-1), np.arange(len(rows))
            summed[owners] += sparse.csr_array((factors, at), shape=(len(owners), len(rows))) @ rows
        summed = _sum_of_halves(summed) if halves else summed
        norms = _norms(summed)
    if not np.isfinite(norms).all():
        raise BctError(_first_fault(features))
    return summed / norms[:, None]


def _sum_of_halves(rows: np.ndarray) -> np.ndarray:
    """[n, d] from [n, 2d]."""
    d = rows.shape[1] // 2
    return rows[:, :d] + rows[:, d:]


def _norms(rows: np.ndarray) -> np.ndarray:
    """Norms float32 [n] to divide by: the smallest normal number in place of 0."""
    return np.maximum(np.linalg.norm(rows, axis=1), np.finfo(np.float32).tiny)


def media_weights(template: np.ndarray, medium: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """float32 [n]: each image's weight (None: 1) / number of images of its medium within its template.

    template, medium: int [n]; weight: float [n].
    """
    codes = np.unique(medium, return_inverse=True)[1].reshape(-1).astype(np.int64)
    keys = template.astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes
    _, of_image, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return ((1 if weight is None else weight) / counts[of_image.reshape(-1)]).astype(np.float32)


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


def template_embeddings(features: np.ndarray, templates: TemplateSet) -> np.ndarray:
    """Sum the image features of each template and L2-normalise the sum once.

    features: float32 [n,d], one row per image of the pool, norms kept (an image with a stronger feature weighs more).
    Every image counts as a medium of its own, as glyphs have no videos: within the IJB-C rule (mean within a medium,
    sum over media) that leaves the sum; where the templates carry weights (those of that rule and the detector's score,
    for IJB-C) it is the weighted sum. Returns float32 [t,d] with rows of norm 1; a row of zeros stays zero.

    Raises BctError when features are not float32 [n,d], are too few for the templates, or are not finite.
    """
    if features.ndim != 2 or features.dtype != np.float32:
        raise BctError(f"image features are {features.dtype} {features.shape}, expected float32 [images, dimension]")
    if templates.size == 0:
        return np.empty((0, features.shape[1]), dtype=np.float32)
    needed = int(templates.image_index.max()) + 1
    if len(features) < needed:
        raise BctError(f"there are features of {len(features)} images, but the templates need {needed}")
    import torch  # not at the top: evaluation from features runs without it
    import torch.nn.functional as F

    # A segment sum straight from the rows of the pool: no copy of the gathered features.
    summed = F.embedding_bag(
        torch.from_numpy(templates.image_index),
        torch.from_numpy(features),
        torch.from_numpy(templates.start),
        mode="sum",
        include_last_offset=True,
        per_sample_weights=None if templates.weight is None else torch.from_numpy(templates.weight),
    )
    if not torch.isfinite(summed).all():
        raise BctError("image features hold values that are not finite")
    return F.normalize(summed, dim=1).numpy()


TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.5)
DEFAULT_TEMPERATURE = 0.1
"""Where there are no validation identities to choose on."""


def attention_weights(features: np.ndarray, templates: TemplateSet, temperature: float) -> np.ndarray:
    """float32 [m], a_i of every image of every template in the order of `templates.image_index`; they sum to 1 each.

    features: float32 [n, d], one row per image of the pool. Raises BctError for a temperature that is not above 0, and
    as `template_embeddings` does.
    """
    if not temperature > 0:
        raise BctError(f"temperature of the attention is {temperature!r}, expected a number above 0")
    means = template_embeddings(features, templates)
    owner = np.repeat(np.arange(templates.size), templates.images_per_template)
    images = unit_rows(features, "image features", templates.image_index)
    agreement = np.einsum("ij,ij->i", images, means[owner]).astype(np.float64) / temperature
    highest = np.full(templates.size, -np.inf)
    np.maximum.at(highest, owner, agreement)
    weights = np.exp(agreement - highest[owner])
    return (weights / np.bincount(owner, weights, templates.size)[owner]).astype(np.float32)


def attention_embeddings(features: np.ndarray, templates: TemplateSet, temperature: float) -> np.ndarray:
    """float32 [t, d], the prototypes c; arguments and errors as above."""
    weights = attention_weights(features, templates, temperature)
    if templates.weight is not None:
        weights = weights * templates.weight
    attended = TemplateSet(templates.image_index, templates.start, templates.identity, weights)
    return template_embeddings(features, attended)


def choose_temperature(score: Callable[[float], float], temperatures: Sequence[float] = TEMPERATURES) -> float:
    """The temperature with the highest score, which must come from validation identities; of equal ones the highest."""
    return max(sorted(temperatures, reverse=True), key=score)
