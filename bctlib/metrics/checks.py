"""Validation shared by all measures: a ValueError with one sentence that names the argument."""

import numpy as np


def feature_matrix(name: str, features) -> np.ndarray:
    """`features` as a two-dimensional numeric array (not copied); finiteness is checked where rows are normalised."""
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"{name}: expected an array of shape [n, d] with d > 0, got shape {features.shape}")
    if features.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected real numbers, got dtype {features.dtype}")
    return features


def same_width(first_name: str, first: np.ndarray, second_name: str, second: np.ndarray) -> None:
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{first_name} has {first.shape[1]} dimensions and {second_name} {second.shape[1]}: "
            "shorten the wider one with bctlib.metrics.blocks.prefix first"
        )


def labels(name: str, values, n: int, of: str) -> np.ndarray:
    """`values` as a one-dimensional array of `n` labels, integers or strings."""
    values = np.asarray(values)
    if values.shape != (n,):
        raise ValueError(f"{name}: expected {n} labels, one for each row of {of}, got shape {values.shape}")
    if values.dtype.kind not in "iuUSO":
        raise ValueError(f"{name}: expected integer or string labels, got dtype {values.dtype}")
    return values


def common_codes(first: np.ndarray, second: np.ndarray, names: str) -> tuple[np.ndarray, np.ndarray]:
    """Both label arrays as integers from one numbering."""
    if (first.dtype.kind in "iu") != (second.dtype.kind in "iu"):
        raise ValueError(f"{names}: one holds integers and the other does not, so no label could ever agree")
    if np.result_type(first, second).kind == "f":  # int64 and uint64: large ones would be rounded together
        first, second = first.astype(str), second.astype(str)
    codes = np.unique(np.concatenate([first, second]), return_inverse=True)[1].reshape(-1)
    return codes[: len(first)], codes[len(first) :]


def scores(name: str, values, allow_empty: bool = False) -> np.ndarray:
    """`values` as a one-dimensional float array without NaN (float32 and float64 are kept as they are)."""
    values = np.asarray(values)
    if values.ndim != 1 or (values.size == 0 and not allow_empty):
        raise ValueError(f"{name}: expected a non-empty one-dimensional array, got shape {values.shape}")
    if values.dtype not in (np.float32, np.float64):
        if values.dtype.kind not in "fiu":
            raise ValueError(f"{name}: expected real numbers, got dtype {values.dtype}")
        values = values.astype(np.float64)
    if np.isnan(values).any():
        raise ValueError(f"{name}: holds NaN at position {int(np.flatnonzero(np.isnan(values))[0])}")
    return values


def rates(name: str, values) -> tuple[np.ndarray, bool]:
    """Target rates as a float64 array, and whether a single number was given."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name}: expected one rate or a list of rates, got shape {array.shape}")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name}: expected rates between 0 and 1, got {values}")
    return np.atleast_1d(array), array.ndim == 0


def number(name: str, value) -> float:
    value = float(value)
    if not np.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    return value
