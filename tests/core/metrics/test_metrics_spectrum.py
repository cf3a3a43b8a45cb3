"""Directions and spans, against sets whose spectrum is known."""

import numpy as np
import pytest

from bctlib.metrics.spectrum import main_directions, participation_ratio, span_energy


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_participation_ratio_counts_equal_directions(rng):
    """Signed unit vectors along k axes have k equal eigenvalues, however many dimensions there are."""
    for k in (1, 3, 8):
        rows = np.zeros((2 * k, 8))
        rows[np.arange(2 * k), np.arange(2 * k) % k] = np.repeat([1.0, -1.0], k)
        assert participation_ratio(rows) == pytest.approx(k)
    assert participation_ratio(rng.normal(size=(20_000, 16))) == pytest.approx(16, rel=0.02)


def test_the_participation_ratio_by_hand_and_without_regard_to_scale_and_rotation(rng):
    rows = rng.normal(size=(50, 5)) * [5, 3, 1, 1, 0.1]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert participation_ratio(rows) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert participation_ratio(7 * rows @ turn) == pytest.approx(participation_ratio(rows))


def test_main_directions_are_the_fewest_that_hold_the_share():
    rows = np.repeat(np.eye(4), [70, 20, 9, 1], axis=0)
    for share, k in ((0.5, 1), (0.75, 2), (0.95, 3), (1.0, 4)):
        found = main_directions(rows, share)
        assert found.shape == (k, 4)
        np.testing.assert_allclose(np.abs(found @ np.eye(4)[:, :k]), np.eye(k), atol=1e-12)


def test_energy_is_the_squared_cosine_with_the_span():
    rows = np.eye(4)[:2]
    queries = np.array([[1.0, 0, 0, 0], [0, 0, 2, 0], [3, 0, 3, 0]])
    assert span_energy(queries[:1], rows) == pytest.approx(1)
    assert span_energy(queries[1:2], rows) == pytest.approx(0)
    assert span_energy(queries, rows) == pytest.approx((1 + 0 + 0.5) / 3)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="embeddings: expected at least 2 rows"):
        participation_ratio(np.ones((1, 3)))
    with pytest.raises(ValueError, match="queries has 3 dimensions and rows 2"):
        span_energy(np.ones((2, 3)), np.ones((2, 2)))
