"""Features of two models of the same images, made up so that the map between them is known."""

import numpy as np
import pytest

from bctlib.base.errors import BctError

IDS = {"new_id": "v2", "old_id": "v1"}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rotation(d: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def pairs(n: int = 400, d_new: int = 12, d_old: int = 12, noise: float = 0.2, seed: int = 0, offset: float = 0.3):
    """Unit rows float64 z [n, d_new] and o [n, d_old]: o is a rotation of the first dimensions of z, stretched, moved
    by `offset`, with noise."""
    rng = np.random.default_rng(seed)
    z = unit(rng.normal(size=(n, d_new)) + offset)
    d = min(d_new, d_old)
    mapped = z[:, :d] @ rotation(d, seed) * np.linspace(0.6, 1.4, d)
    o = (
        np.hstack([mapped, np.zeros((n, d_old - d))])
        + offset / d_old
        + noise * rng.normal(size=(n, d_old)) / d_old**0.5
    )
    return z, unit(o)


def refused(call, said: str) -> None:
    """The call raises one sentence that holds `said`."""
    with pytest.raises(BctError) as caught:
        call()
    assert said in str(caught.value) and "\n" not in str(caught.value), str(caught.value)
