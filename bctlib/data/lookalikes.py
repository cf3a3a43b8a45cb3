"""Identities that have a close double, found without any model.

A dozen pairs of kanji that differ by a hair (己 and 巳, 未 and 朱) decide the strict operating points of an open-set
search whatever the model is. The tables therefore have a variant without look-alikes beside the full protocol. The
rule is fixed beforehand: average each identity's undistorted image over the typefaces that hold it, correlate the
averages, and mark the share of identities whose highest correlation with another identity is largest.
"""

import numpy as np

from bctlib.data.glyphs import GlyphSet
from bctlib.base.errors import BctError


def nearest_identities(glyphs: GlyphSet, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of k identities the most similar other one of them: (identity int64 [k], correlation float64 [k]).

    The correlation is Pearson's over the pixels of the typeface-averaged images. Raises BctError for fewer than two
    identities and for an identity whose average is blank.
    """
    identities = np.asarray(identities, dtype=np.int64)
    if identities.ndim != 1 or len(identities) < 2:
        raise BctError(f"look-alikes need two or more identities, got shape {identities.shape}")
    side = glyphs.images.shape[-1]
    mean = np.zeros((len(identities), side * side))
    for typeface in range(glyphs.images.shape[1]):  # one at a time: never all images as floats
        held = glyphs.present[identities, typeface]
        mean[held] += glyphs.images[identities[held], typeface].reshape(-1, side * side)
    # Correlation has no scale: the sum over typefaces serves as well as the mean.
    mean -= mean.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(mean, axis=1, keepdims=True)
    if not norm.all():
        blank = glyphs.characters[identities[np.flatnonzero(norm == 0)[0]]]
        raise BctError(f"identity {blank} is blank in every typeface: it cannot be compared with others")
    mean /= norm
    correlation = mean @ mean.T
    # A matrix product need not be symmetric to the last bit, but "a is b's double" must be.
    correlation = np.maximum(correlation, correlation.T)
    np.fill_diagonal(correlation, -np.inf)
    nearest = correlation.argmax(axis=1)
    return identities[nearest], correlation[np.arange(len(identities)), nearest]


def find_lookalikes(glyphs: GlyphSet, identities: np.ndarray, share: float = 0.2) -> np.ndarray:
    """The `share` of the identities with the closest doubles among them, int64 sorted.

    The threshold is the highest correlation that marks at least this share; ties at the threshold are all marked.
    Whoever is marked because of a double has the double marked too. Raises BctError for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise BctError(f"share of look-alikes is {share}, expected 0 or more and less than 1")
    identities = np.asarray(identities, dtype=np.int64)
    _, correlation = nearest_identities(glyphs, identities)
    count = round(share * len(identities))
    if count == 0:
        return np.empty(0, dtype=np.int64)
    threshold = np.sort(correlation)[-count]
    return np.sort(identities[correlation >= threshold])
