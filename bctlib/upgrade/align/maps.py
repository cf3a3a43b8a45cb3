"""The closed forms: one function per map from new features to the old space.

Each takes float64 arrays: z [n, d_new] and o [n, d_old], rows of unit length, row i of both from the same image; and
gives an affine map (matrix [d_new, d_old], bias [d_old]): z @ matrix + bias. Nothing is checked here;
`bctlib.upgrade.align.kinds` says how many pairs each one needs.
"""

import numpy as np
from scipy import linalg

Affine = tuple[np.ndarray, np.ndarray]

LOW_RANK_RIDGE = 1e-6
"""Ridge strength inside the low rank map, so that features that fill fewer than d_new dimensions do not break it."""


def orthogonal(z: np.ndarray, o: np.ndarray) -> Affine:
    """R = U V' of the singular value decomposition z'o = U S V', bias 0.

    R is the matrix with orthonormal columns (d_new > d_old) or rows (d_new < d_old) that maximises the sum of z R o',
    the same as orthogonal Procrustes with the narrower side padded by zeros. Lengths and cosines are kept unless
    d_new > d_old. Source: Schoenemann, Psychometrika 31, 1966.
    """
    left, _, right = linalg.svd(z.T @ o, full_matrices=False)
    return left @ right, np.zeros(o.shape[1])


def centred_orthogonal(z: np.ndarray, o: np.ndarray) -> Affine:
    """(z - mean z) R + mean o with R the orthogonal map of the centred features.

    It also takes away the cones in which the two models' features lie. Source: as `orthogonal`; general Procrustes
    analysis centres first (Gower, Psychometrika 40, 1975).
    """
    z_mean, o_mean = z.mean(0), o.mean(0)
    matrix, _ = orthogonal(z - z_mean, o - o_mean)
    return matrix, o_mean - z_mean @ matrix


def ridge(z: np.ndarray, o: np.ndarray, strength: float) -> Affine:
    """W = (Z'Z + a t I)^-1 Z'O on centred features, t = tr(Z'Z) / d_new, bias = mean o - mean z W; a is `strength`.

    The bias is not penalised. a = 0 is least squares (of least norm where several maps fit as well). Scaled by t, one
    strength means the same for any number of pairs and dimensions: it is scikit-learn's Ridge(alpha = a t). Source:
    Hoerl and Kennard, Technometrics 12, 1970.
    """
    z_mean, o_mean = z.mean(0), o.mean(0)
    centred = z - z_mean
    matrix = linalg.pinvh(_penalised(centred, strength)) @ (centred.T @ (o - o_mean))
    return matrix, o_mean - z_mean @ matrix


def diagonal(z: np.ndarray, o: np.ndarray, strength: float) -> Affine:
    """The orthogonal map R, then a factor for each old dimension: (z R) * s, bias 0.

    With p = z R: s_j = (p_j'o_j + a t) / (p_j'p_j + a t), t the mean of p_j'p_j over j, a = `strength`. a = 0 is least
    squares for each dimension, a large a leaves the orthogonal map. Source: the diagonal scaling of Drift-Adapter
    (arXiv 2509.23471), here in closed form.
    """
    matrix, bias = orthogonal(z, o)
    mapped = z @ matrix
    own, shared = np.einsum("ij,ij->j", mapped, mapped), np.einsum("ij,ij->j", mapped, o)
    pull = strength * own.mean()
    scale = np.divide(shared + pull, own + pull, out=np.ones_like(own), where=own + pull > 0)
    return matrix * scale, bias


def low_rank(z: np.ndarray, o: np.ndarray, strength: float) -> Affine:
    """The least squares map of rank r = `strength`, with bias (reduced-rank regression).

    W P P' with W the ridge map of strength LOW_RANK_RIDGE and P [d_old, r] the leading eigenvectors of
    W'(Z'Z + a t I) W, the directions of the old space in which W explains most. Source: Izenman, Journal of
    Multivariate Analysis 5, 1975; Drift-Adapter (arXiv 2509.23471) trains the same form by gradient descent.
    """
    full, _ = ridge(z, o, LOW_RANK_RIDGE)
    z_mean, o_mean = z.mean(0), o.mean(0)
    explained = full.T @ _penalised(z - z_mean, LOW_RANK_RIDGE) @ full
    _, vectors = linalg.eigh(explained)  # ascending
    leading = vectors[:, -int(strength) :]
    matrix = full @ leading @ leading.T
    return matrix, o_mean - z_mean @ matrix


def span_filter(head: np.ndarray, d_new: int, strength: float) -> Affine:
    """C (C + e I)^-1 with C = K'K / classes of the old head K [classes, d_old], rows of unit length; bias 0.

    e = strength * tr(C) / d_old. It leaves directions that the old head uses much, and damps those that it does not
    use; strength 0 is the projection onto the span of the head's rows. It is for new models that were trained to be
    compatible: their first d_old dimensions are in the old space already, and further ones are dropped
    (d_new >= d_old). C is the second moment about the origin, as cosines are measured from there. Source: the Wiener
    filter with C as the covariance of the signal and white noise.
    """
    d_old = head.shape[1]
    used, directions = linalg.eigh(head.T @ head / len(head))
    used[used < 1e-12 * used.max()] = 0  # rounding, outside the span
    gain = np.divide(used, used + strength * used.sum() / d_old, out=np.zeros(d_old), where=used > 0)
    kept = directions * gain @ directions.T
    return np.vstack([kept, np.zeros((d_new - d_old, d_old))]), np.zeros(d_old)


def _penalised(centred: np.ndarray, strength: float) -> np.ndarray:
    """Z'Z + a t I of centred features, t = tr(Z'Z) / d_new."""
    gram = centred.T @ centred
    return gram + strength * np.trace(gram) / len(gram) * np.eye(len(gram))
