"""Eqs. 1, 2 and 9: hand checks, the trivial solution, brute force; and that the metrics stand alone."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

import bctlib.metrics
from bctlib.metrics import absolute_gain, blocks, is_compatible, strict_criterion, update_gain


def test_update_gain_by_hand():
    assert update_gain(80.25, 77.86, 86.96) == pytest.approx(0.2626, abs=5e-5)
    assert update_gain(67.23, 59.34, 76.88) == pytest.approx(0.4498, abs=5e-5)
    assert absolute_gain(80.25, 77.86) == pytest.approx(2.39)


def test_undefined_gains_are_nan():
    assert math.isnan(update_gain(77.26, 77.86, 86.96))  # Eq. 2 fails
    assert math.isnan(update_gain(77.86, 77.86, 86.96))  # equal is not better
    assert math.isnan(update_gain(80.0, 77.86, 77.86))  # the paragon does not beat the old model
    assert update_gain(90.0, 77.86, 86.96) > 1


def test_eq_2_is_strict():
    assert is_compatible(0.51, 0.5) and not is_compatible(0.5, 0.5) and not is_compatible(0.4, 0.5)
    assert is_compatible(np.float32(0.6), 0.5) is True
    with pytest.raises(ValueError, match="new_old"):
        is_compatible(float("nan"), 0.5)


@pytest.mark.parametrize("block", [1 << 23, 300])
def test_strict_criterion_equals_brute_force(monkeypatch, block):
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(0)
    old, identity = rng.standard_normal((40, 6)), rng.integers(0, 8, 40)
    new = old + 0.3 * rng.standard_normal((40, 6))
    kept = strict_criterion(new, old, identity)
    o = old / np.linalg.norm(old, axis=1, keepdims=True)
    n = new / np.linalg.norm(new, axis=1, keepdims=True)
    counts = {True: [], False: []}
    for i in range(40):
        for j in range(40):
            if i != j:
                d_new, d_old = np.linalg.norm(n[i] - o[j]), np.linalg.norm(o[i] - o[j])
                same = identity[i] == identity[j]
                counts[bool(same)].append(d_new <= d_old if same else d_new >= d_old)
    assert (kept.n_same, kept.n_different) == (len(counts[True]), len(counts[False]))
    assert kept.same_kept == pytest.approx(np.mean(counts[True]))
    assert kept.different_kept == pytest.approx(np.mean(counts[False]))


def test_the_trivial_solution_keeps_every_constraint():
    old = np.random.default_rng(1).standard_normal((50, 16))
    kept = strict_criterion(old, old, np.arange(50) // 5)
    assert (kept.different_kept, kept.same_kept) == (1.0, 1.0)
    assert math.isnan(strict_criterion(old, old, np.arange(50)).same_kept)


def test_strict_criterion_names_bad_arguments():
    x = np.eye(4)
    for call, word in [
        (lambda: strict_criterion(x, x[:3], [0, 1, 2, 3]), "new, old"),
        (lambda: strict_criterion(x, x, [0]), "identity"),
        (lambda: strict_criterion(x, x[:, :2], [0, 1, 2, 3]), "prefix"),
        (lambda: strict_criterion(np.full((4, 4), np.inf), x, [0, 1, 2, 3]), "new: row 0"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=word):
            call()


def test_exports_and_independence():
    assert sorted(bctlib.metrics.__all__) == [
        "absolute_gain", "backfill_curve", "cmc", "is_compatible", "mean_average_precision", "rank_k",
        "strict_criterion", "tar_at_far", "tpir_at_fpir", "update_gain",
    ]  # fmt: skip
    for path in Path(bctlib.metrics.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name in ("numpy", "collections.abc", "dataclasses", "typing") or name.startswith(
                    "bctlib.metrics"
                ), f"{path.name} imports {name}"
