"""In which order the classes of a gallery are backfilled: what an operator can decide from the old gallery alone."""

import numpy as np

from bctlib.metrics import checks
from bctlib.metrics.blocks import unit_rows


def random_order(identities, seed) -> np.ndarray:
    """The classes in a random order that the seed (an integer, or a list of them) alone decides."""
    return np.random.default_rng(seed).permutation(_classes(identities))


def largest_first(identities, sizes, seed) -> np.ndarray:
    """The classes by falling number of images; equally large ones in the random order of `seed`.

    identities [n]: one row per class; sizes [n]: its number of images. Raises ValueError where the shapes disagree.
    """
    identities, sizes = _classes(identities), np.asarray(sizes)
    if sizes.shape != identities.shape:
        raise ValueError(f"sizes: expected one for each of {len(identities)} classes, got an array of {sizes.shape}")
    shuffled = np.random.default_rng(seed).permutation(len(identities))
    return identities[shuffled[np.argsort(-sizes[shuffled], kind="stable")]]


def least_certain_first(identities, old) -> np.ndarray:
    """The classes by falling cosine of their old template to the nearest old template of another class.

    The old gallery is surest of a class that stands alone, and least of one that has a close neighbour; neither
    labels of searches nor the new model are needed. identities [n]: one row per class; old [n, d]: its template by
    the old model. Equal cosines, as of two classes that are each other's nearest, keep the order of the rows.
    Raises ValueError for fewer than two classes, and on NaN or shapes that do not fit.
    """
    identities, old = _classes(identities), checks.feature_matrix("old", old)
    if len(old) != len(identities) or len(old) < 2:
        raise ValueError(f"old: expected a row for each of {len(identities)} classes, 2 or more, got {len(old)}")
    rows = unit_rows(old, "old", slice(None))
    cosines = rows @ rows.T
    cosines = np.maximum(cosines, cosines.T)  # the product may round the two directions of a pair differently
    np.fill_diagonal(cosines, -np.inf)
    return identities[np.argsort(-cosines.max(axis=1), kind="stable")]


def images_backfilled(identities, sizes, order, points: int = 51) -> np.ndarray:
    """Share of the gallery's images that are embedded anew at each point of a backfill curve, float64 [points].

    Points lie at equal shares of classes, as in `bctlib.metrics.backfill.backfill_curve`. Raises ValueError for an
    order that is none of these classes.
    """
    identities, sizes = _classes(identities), np.asarray(sizes)
    if not np.array_equal(np.sort(order), np.sort(identities)):
        raise ValueError(f"order: expected each of the {len(identities)} distinct gallery identities once")
    by_label = np.argsort(identities)
    in_order = sizes[by_label[np.searchsorted(identities[by_label], order)]]
    done = np.round(np.linspace(0, 1, points) * len(identities)).astype(np.int64)
    return np.concatenate([[0], np.cumsum(in_order)])[done] / sizes.sum()


def _classes(identities) -> np.ndarray:
    identities = np.asarray(identities)
    if identities.ndim != 1 or len(np.unique(identities)) < len(identities):
        raise ValueError("identities: expected one row per class, each class once")
    return identities
