"""What a map is fitted to and applied to: pairs of features, the old head, and which pairs are held out."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import map_array
from bctlib.metrics.blocks import unit_rows

if TYPE_CHECKING:
    from bctlib.upgrade.evaluate.inputs import Features

Source = np.ndarray | str | Path
"""An array, or the .npy file that holds one."""


def open_rows(name: str, source: Source, n_rows: int | None = None, rows: str = "") -> "Features":
    """Features [n, d] from an array or a file, as evaluate and report open them."""
    from bctlib.upgrade.evaluate.inputs import open_features  # its package loads more than NumPy

    return open_features(name, source, n_rows, rows)


def unit_features(features: "Features", rows: slice = slice(None)) -> np.ndarray:
    """Those rows at unit length, float32 [n, d]. Raises BctError for NaN, infinite values and rows of zeros."""
    from bctlib.upgrade.evaluate.inputs import faults_named

    with faults_named(features):
        unit = unit_rows(features.array, features.label, rows)
    zero = np.flatnonzero(~unit.any(1))
    if len(zero):
        row = np.arange(len(features.array))[rows][zero[0]]
        raise BctError(f"{features.label}: row {row} is all zeros, which has no direction")
    return unit


def open_pairs(new: Source, old: Source) -> tuple[np.ndarray, np.ndarray]:
    """Features of both models of the same images, unit rows, float64 [n, d_new] and [n, d_old]."""
    first = open_rows("new", new)
    second = open_rows("old", old, len(first.array), f"row of {first.label}")
    return unit_features(first).astype(np.float64), unit_features(second).astype(np.float64)


def open_head(head: Source, d_new: int | None, d_old: int | None) -> np.ndarray:
    """The rows of the old head at unit length, float64 [classes, d_old]; None: dimensions that nothing else tells."""
    opened = open_rows("head", head)
    d = opened.array.shape[1]
    if d_old is not None and d != d_old:
        raise BctError(f"{opened.label} has {d} dimensions: expected {d_old}, as the old features")
    if d_new is not None and d_new < d:
        raise BctError(f"the new features have {d_new} dimensions: a span filter needs {d} or more, as the old head")
    return unit_features(opened).astype(np.float64)


def held_out_rows(
    n: int, held_out: Source | None, identities: Source | None, share: float, seed: int
) -> tuple[np.ndarray, str]:
    """Which of n pairs the strength is chosen on, bool [n], and a text that says which they are.

    held_out: their row numbers, integers [m]. Without it a share of the identities (integers or text [n], one for each
    pair), or without these of the pairs, is drawn with the seed. Raises BctError where not both parts have a pair.
    """
    if held_out is not None and identities is not None:
        raise BctError("held_out and identities were both given: expected one, held_out names the pairs itself")
    if held_out is not None:
        return _given_rows(n, held_out)
    if not 0 < share < 1:
        raise BctError(f"share is {share}: expected the part of the pairs to hold out, above 0 and below 1")
    if identities is None:
        groups, what = np.arange(n), "pairs"
    else:
        groups, what = groups_of("identities", n, identities), "identities"
    n_groups = int(groups.max()) + 1
    if n_groups < 2:
        raise BctError(f"there are too few {what} to hold some out: expected 2 or more, or a given strength")
    count = min(max(1, round(share * n_groups)), n_groups - 1)
    drawn = np.random.default_rng(seed).permutation(n_groups)[:count]
    mask = np.isin(groups, drawn)
    return mask, f"{mask.sum():,} of {n:,} pairs, {share:.3g} of the {what} drawn with seed {seed}"


def _given_rows(n: int, held_out: Source) -> tuple[np.ndarray, str]:
    is_file = isinstance(held_out, str | Path)
    label = str(held_out) if is_file else "held_out"
    rows = np.asarray(map_array(Path(held_out)) if is_file else held_out)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
        raise BctError(f"{label} holds {rows.dtype} {rows.shape}: expected row numbers, integers [m]")
    wrong = (rows < 0) | (rows >= n)
    if wrong.any():
        raise BctError(f"{label} names row {rows[wrong][0]}: expected 0 to {n - 1}")
    mask = np.zeros(n, bool)
    mask[rows] = True
    if mask.all():
        raise BctError(f"{label} names all {n:,} pairs: expected some to be left for the fit")
    return mask, f"{mask.sum():,} of {n:,} pairs, given by their rows"


def groups_of(name: str, n: int, identities: Source) -> np.ndarray:
    """A number from 0 on for each pair, equal where the identity is. name: what an error calls the identities."""
    from bctlib.upgrade.evaluate.inputs import read_identities

    names, record = read_identities(name, identities)
    if len(names) != n:
        label = record["path"] or record["name"]
        raise BctError(f"{label} names {len(names):,} identities: expected {n:,}, one for each pair")
    return np.unique(names, return_inverse=True)[1].reshape(-1)
