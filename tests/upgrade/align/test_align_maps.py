"""The formulas of the maps against independent solvers and against what each must leave as it is."""

import numpy as np
import pytest
from feature_pairs import IDS, pairs, rotation, unit
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import LinearRegression, Ridge

from bctlib.upgrade.align import fit, maps
from bctlib.upgrade.align.lambda_orthogonal import SHARPNESS, _objective, lambda_orthogonal

SIZES = [(12, 12), (20, 12), (12, 20)]


def padded(rows: np.ndarray, d: int) -> np.ndarray:
    return np.hstack([rows, np.zeros((len(rows), d - rows.shape[1]))])


@pytest.mark.parametrize(("d_new", "d_old"), SIZES)
def test_orthogonal_is_scipys_procrustes_on_padded_features(d_new, d_old):
    z, o = pairs(d_new=d_new, d_old=d_old)
    d = max(d_new, d_old)
    expected, _ = orthogonal_procrustes(padded(z, d), padded(o, d))
    assert np.abs(maps.orthogonal(z, o)[0] - expected[:d_new, :d_old]).max() < 1e-12


@pytest.mark.parametrize(("d_new", "d_old"), SIZES)
def test_centred_orthogonal_is_procrustes_of_centred_features_and_meets_the_mean(d_new, d_old):
    z, o = pairs(d_new=d_new, d_old=d_old)
    d = max(d_new, d_old)
    matrix, bias = maps.centred_orthogonal(z, o)
    expected, _ = orthogonal_procrustes(padded(z - z.mean(0), d), padded(o - o.mean(0), d))
    assert np.abs(matrix - expected[:d_new, :d_old]).max() < 1e-12
    assert np.abs(z.mean(0) @ matrix + bias - o.mean(0)).max() < 1e-12


@pytest.mark.parametrize(("d_new", "d_old"), SIZES)
@pytest.mark.parametrize("strength", [0, 1e-6, 0.01, 1, 10])
def test_ridge_is_scikit_learns(d_new, d_old, strength):
    z, o = pairs(d_new=d_new, d_old=d_old)
    alpha = strength * np.square(z - z.mean(0)).sum() / d_new
    expected = (Ridge(alpha=alpha) if strength else LinearRegression()).fit(z, o)
    matrix, bias = maps.ridge(z, o, strength)
    assert np.abs(matrix - expected.coef_.T).max() < 1e-11 and np.abs(bias - expected.intercept_).max() < 1e-11


def test_ridge_of_dependent_features_is_the_map_of_least_norm():
    z, o = pairs()
    doubled = np.hstack([z, z, np.zeros_like(z)])
    expected = np.linalg.lstsq(doubled - doubled.mean(0), o - o.mean(0))[0]
    assert np.abs(maps.ridge(doubled, o, 0)[0] - expected).max() < 1e-10


@pytest.mark.parametrize(("d_new", "d_old"), SIZES)
def test_diagonal_is_least_squares_for_each_dimension_and_goes_to_the_rotation(d_new, d_old):
    z, o = pairs(d_new=d_new, d_old=d_old)
    turn, _ = maps.orthogonal(z, o)
    by_hand = [np.linalg.lstsq((z @ turn)[:, [j]], o[:, j])[0][0] for j in range(d_old)]
    assert np.abs(maps.diagonal(z, o, 0)[0] - turn * by_hand).max() < 1e-12
    assert np.abs(maps.diagonal(z, o, 1e12)[0] - turn).max() < 1e-9


@pytest.mark.parametrize(("d_new", "d_old"), SIZES)
def test_low_rank_is_the_best_map_of_its_rank(d_new, d_old):
    """By hand: the least squares prediction, cut to its leading singular values; full rank is least squares."""
    z, o = pairs(d_new=d_new, d_old=d_old)
    full, _ = maps.ridge(z, o, 0)
    left, values, right = np.linalg.svd((z - z.mean(0)) @ full, full_matrices=False)
    for rank in (1, 3, 12):
        matrix, bias = maps.low_rank(z, o, rank)
        assert np.linalg.matrix_rank(matrix, tol=1e-9) == rank
        best = left[:, :rank] * values[:rank] @ right[:rank] + o.mean(0)
        assert np.abs(z @ matrix + bias - best).max() < 1e-4  # its own ridge of 1e-6
    assert np.abs(matrix - full).max() < 1e-4


def test_the_span_filter_leaves_the_span_of_the_head_and_damps_the_rest():
    rng = np.random.default_rng(0)
    basis = rotation(12)[:, :5]
    head = unit(rng.normal(size=(40, 5)) @ basis.T)
    inside, outside = rng.normal(size=(6, 5)) @ basis.T, rng.normal(size=(6, 7)) @ rotation(12)[:, 5:].T
    for strength, tolerance in ((0, 1e-10), (1e-9, 1e-7)):
        matrix, bias = maps.span_filter(head, 12, strength)
        assert np.abs(inside @ matrix - inside).max() < tolerance and np.abs(outside @ matrix).max() < tolerance
        assert not bias.any()
    second = head.T @ head / 40
    matrix, _ = maps.span_filter(head, 15, 0.1)
    expected = second @ np.linalg.inv(second + 0.1 / 12 * np.eye(12))  # unit rows: the trace is 1
    assert np.abs(matrix[:12] - expected).max() < 1e-12 and not matrix[12:].any()
    assert np.linalg.matrix_rank(matrix, tol=1e-9) == 5


@pytest.mark.parametrize(("d_new", "d_old"), SIZES)
def test_lambda_orthogonal_ends_in_the_rotation_and_in_least_squares(d_new, d_old):
    z, o = pairs(d_new=d_new, d_old=d_old)
    start, end = lambda_orthogonal(z, o, 0.0), lambda_orthogonal(z, o, np.inf)
    gram = start[0] @ start[0].T if d_new < d_old else start[0].T @ start[0]
    assert np.abs(gram - np.eye(12)).max() < 1e-6
    if d_new <= d_old:
        for found, expected in zip(start, maps.centred_orthogonal(z, o), strict=True):
            assert np.abs(found - expected).max() < 1e-6
    for found, free, expected in zip(end, lambda_orthogonal(z, o, 100.0), maps.ridge(z, o, 0), strict=True):
        assert np.abs(found - expected).max() < 1e-12 and np.abs(free - expected).max() < 1e-4


def test_lambda_orthogonal_leads_from_one_end_to_the_other():
    z, o = pairs(noise=0.1)
    errors, distances = [], []
    for strength in (0.0, 0.133, 0.265, 0.53, np.inf):
        matrix, bias = lambda_orthogonal(z, o, strength)
        errors.append(np.square(z @ matrix + bias - o).mean())
        distances.append(np.linalg.norm(matrix.T @ matrix - np.eye(12)) / 12**0.5)
    assert errors == sorted(errors, reverse=True) and distances == sorted(distances)
    assert distances[1] < 0.133 and distances[2] < 0.265 and 0.53 / 12**0.5 < distances[3] < 0.53


@pytest.mark.parametrize("shape", [(5, 4), (4, 5)])
def test_the_objective_of_lambda_orthogonal_and_its_gradient(shape):
    rng = np.random.default_rng(0)
    z, o, matrix = rng.normal(size=(30, shape[0])), rng.normal(size=(30, shape[1])), rng.normal(size=shape)
    gram, cross = z.T @ z / o.size, z.T @ o / o.size
    off = matrix @ matrix.T if shape[0] < shape[1] else matrix.T @ matrix
    n = np.linalg.norm(off - np.eye(4))
    limit = n - 0.05  # where the sigmoid is neither 0 nor 1
    value, slope = _objective(matrix.ravel(), gram, cross, limit, 1e-6)
    by_hand = np.square(z @ matrix - o).mean() - np.square(o).mean() + n / (1 + np.exp(-SHARPNESS * (n - limit)))
    assert abs(value - by_hand) < 1e-9
    for place in range(matrix.size):
        moved = [matrix.ravel().copy() for _ in range(2)]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        high, low = (_objective(each, gram, cross, limit, 1e-6)[0] for each in moved)
        assert abs((high - low) / 2e-6 - slope[place]) < 1e-5


def test_rotations_keep_lengths_and_cosines_and_serve_queries_as_well_as_the_gallery():
    z, o = pairs()
    made = fit(z, o, "orthogonal", **IDS)
    raw = (z * np.linspace(0.1, 9, len(z))[:, None]).astype(np.float32)
    mapped = made.apply(raw, "v2")
    assert np.allclose(np.linalg.norm(mapped, axis=1), np.linalg.norm(raw, axis=1), rtol=1e-5)
    assert np.abs(unit(mapped) @ unit(mapped).T - unit(raw) @ unit(raw).T).max() < 1e-5
    gallery = unit(o @ made.matrix.T)  # back into the new space
    assert np.abs(unit(mapped) @ o.T - unit(raw) @ gallery.T).max() < 1e-5
    assert np.allclose(made.apply(raw[:8].mean(0)[None], "v2"), mapped[:8].mean(0), atol=1e-5)  # a template's mean


def test_a_row_keeps_its_length_as_a_factor_also_where_a_map_has_a_bias():
    z, o = pairs()
    made = fit(z, o, "ridge", strength=0.01, **IDS)
    mapped = made.apply(z, "v2")
    assert mapped.dtype == np.float32 and np.abs(mapped - (z @ made.matrix + made.bias)).max() < 1e-6
    assert np.allclose(made.apply(7 * z, "v2"), 7 * mapped, rtol=1e-4, atol=1e-5)
    assert np.allclose(made.apply(z.astype(np.float16), "v2"), mapped, atol=1e-2)
