"""How many directions a set of embeddings uses, and how much of a query lies in the directions of another set.

Not in the paper. `docs/recipe.md` and notebook 01 use them to judge how well a model is trained.
"""

import numpy as np

from bctlib.metrics.blocks import feature_matrix, same_width, unit_rows

SPAN = 0.95
"""Share of the energy of a head's rows that its main directions hold."""


def participation_ratio(embeddings: np.ndarray) -> float:
    """(sum of eigenvalues)^2 / (sum of their squares) of the covariance of unit embeddings [n,d]: from 1 to d.

    k equal eigenvalues and otherwise zeros give k. Raises ValueError for fewer than two rows.
    """
    embeddings = feature_matrix("embeddings", embeddings)
    if len(embeddings) < 2:
        raise ValueError(f"embeddings: expected at least 2 rows, got {len(embeddings)}")
    eigenvalues = np.linalg.eigvalsh(np.cov(unit_rows(embeddings), rowvar=False))
    return float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def main_directions(rows: np.ndarray, share: float = SPAN) -> np.ndarray:
    """float64 [k,d], orthonormal: the fewest directions that hold `share` of the squared length of the unit rows [n,d].

    The directions are the first eigenvectors of the second moment (the mean is not removed).
    """
    unit = unit_rows(feature_matrix("rows", rows)).astype(np.float64)
    eigenvalues, vectors = np.linalg.eigh(unit.T @ unit)
    held = np.cumsum(eigenvalues[::-1]) / eigenvalues.sum()
    return vectors[:, ::-1].T[: int(np.searchsorted(held, share)) + 1]


def span_energy(queries: np.ndarray, rows: np.ndarray, share: float = SPAN) -> float:
    """The mean share of a query's squared length in the main directions of `rows`: from 0 to 1.

    queries [n,d]: embeddings; rows [m,d]: of the old classifier. What lies outside meets nothing in the old space: to a
    cosine it is a random shrinkage of each query. Raises ValueError for other widths.
    """
    queries, rows = feature_matrix("queries", queries), feature_matrix("rows", rows)
    same_width("queries", queries, "rows", rows)
    inside = unit_rows(queries) @ main_directions(rows, share).T
    return float((inside**2).sum(axis=1).mean())
