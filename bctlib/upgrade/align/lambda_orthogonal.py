"""The lambda-orthogonal map: least squares with a soft limit on how far the map may be from orthogonal."""

import numpy as np
from scipy import optimize
from scipy.special import expit

from bctlib.upgrade.align.maps import Affine, centred_orthogonal, ridge

SHARPNESS = 10.0
"""a in sigmoid(a(n - l)); the sources known to us do not give it, so this value is ours."""
ROUNDINGS = (1e-2, 1e-4, 1e-6)
"""n has a kink where W is orthogonal; sqrt(n^2 + r^2) rounds it, with smaller and smaller r."""
STEPS = 500


def lambda_orthogonal(z: np.ndarray, o: np.ndarray, strength: float) -> Affine:
    """Minimises MSE(Z W, O) + sigmoid(a (n - l)) n on centred features; bias = mean o - mean z W.

    n = |W'W - I| (Frobenius norm; W W' where d_new < d_old), MSE the mean over all elements, l = strength * sqrt(d)
    with d = min(d_new, d_old): |I| = sqrt(d), so `strength` means the same for any dimension. z, o, and the result
    as in `bctlib.upgrade.align.maps`.

    strength 0: the penalty has a kink of slope 1/2 where n = 0, which outweighs the MSE, and the centred orthogonal map
    results (with d_new > d_old the matrix of orthonormal columns with the least MSE, which is another one than
    `centred_orthogonal`, whose sum of z R o' is largest). infinity: no penalty, least squares with a bias. Between
    them the objective is not convex: L-BFGS starts from the orthogonal map and finds a local minimum.

    Source: lambda-orthogonality regularization (arXiv 2509.16664; l = 12 for 512 and 1,024 dimensions, that is a
    strength of 0.53 and 0.375), trained there by stochastic gradient descent.
    """
    if np.isinf(strength):
        return ridge(z, o, 0.0)
    z_mean, o_mean = z.mean(0), o.mean(0)
    centred, target = z - z_mean, o - o_mean
    gram, cross = centred.T @ centred / o.size, centred.T @ target / o.size
    limit = strength * np.sqrt(min(cross.shape))
    matrix, _ = centred_orthogonal(z, o)
    for rounding in ROUNDINGS:
        found = optimize.minimize(
            _objective, matrix.ravel(), (gram, cross, limit, rounding), "L-BFGS-B", jac=True,
            options={"maxiter": STEPS, "maxcor": 20, "ftol": 1e-13, "gtol": 1e-9},
        )  # fmt: skip
        matrix = found.x.reshape(cross.shape)
    return matrix, o_mean - z_mean @ matrix


def _objective(
    flat: np.ndarray, gram: np.ndarray, cross: np.ndarray, limit: float, rounding: float
) -> tuple[float, np.ndarray]:
    """The objective, less the constant |O|^2 of the MSE, and its gradient, flat."""
    matrix = flat.reshape(cross.shape)
    wide = matrix.shape[0] < matrix.shape[1]
    off = (matrix @ matrix.T if wide else matrix.T @ matrix) - np.eye(min(matrix.shape))
    n = np.sqrt(np.square(off).sum() + rounding**2)
    soft = expit(SHARPNESS * (n - limit))
    step = gram @ matrix
    value = np.vdot(matrix, step) - 2 * np.vdot(matrix, cross) + soft * n
    slope = soft + SHARPNESS * soft * (1 - soft) * n
    turned = off @ matrix if wide else matrix @ off
    return value, (2 * (step - cross) + slope * 2 / n * turned).ravel()
