"""Fitting: the strength, the pairs that it is chosen on, a planted map that is found again, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from feature_pairs import IDS, pairs, refused, rotation, unit

from bctlib.base.errors import UsageError
from bctlib.base.locations import PROJECT
from bctlib.upgrade.align import NAMES, fit, maps
from bctlib.upgrade.align.inputs import held_out_rows
from bctlib.upgrade.align.kinds import KINDS

FITTED = tuple(KINDS)
HEAD = unit(np.random.default_rng(5).normal(size=(30, 12)))


def cosine(one, other) -> float:
    return float(np.einsum("ij,ij->i", unit(one), unit(other)).mean())


@pytest.mark.parametrize("kind", FITTED)
@pytest.mark.parametrize(("d_new", "d_old"), [(12, 12), (20, 12), (12, 20)])
def test_a_planted_map_is_found_again_on_other_rows(kind, d_new, d_old):
    """Fitted to 1,000 pairs, every kind leads 500 other rows near their old features, in float32."""
    z, o = pairs(1500, d_new, d_old, noise=0.1, offset=0.0)
    made = fit(z[:1000].astype(np.float32), o[:1000].astype(np.float32), kind, **IDS)
    mapped = made.apply(z[1000:], "v2", "v1")
    assert mapped.shape == (500, d_old) and mapped.dtype == np.float32
    unmapped = cosine(z[1000:, : min(d_new, d_old)], o[1000:, : min(d_new, d_old)])
    assert cosine(mapped, o[1000:]) > (0.9 if d_new <= d_old else 0.85) > 0.5 > unmapped
    assert made.pairs == 1000 and (made.strength is None) == (not KINDS[kind].strengths) == (made.chosen_on is None)


def test_a_rotation_without_noise_is_found_exactly():
    z, turn = pairs()[0], rotation(12, 9)
    for kind in ("orthogonal", "centred-orthogonal", "ridge", "diagonal", "low-rank", "lambda-orthogonal"):
        made = fit(z, z @ turn, kind, **IDS)
        assert np.abs(made.matrix - turn).max() < 1e-4, kind
    assert np.abs(fit(z, z @ turn, "orthogonal", **IDS).matrix - turn).max() < 1e-6


def test_the_strength_is_the_best_on_the_held_out_pairs_and_the_map_is_of_all_pairs():
    z, o = pairs(60, 30, noise=2.0)
    rows = np.arange(0, 60, 3)
    made = fit(z, o, "ridge", held_out=rows, **IDS)
    left = np.setdiff1d(np.arange(60), rows)

    def best(fitted):
        def closeness(strength):
            matrix, bias = maps.ridge(z[fitted], o[fitted], strength)
            return cosine(z[rows] @ matrix + bias, o[rows])

        return max(KINDS["ridge"].strengths, key=closeness)

    assert made.strength == best(left) > best(slice(None))  # which has seen the pairs that it is chosen on
    assert made.chosen_on == "20 of 60 pairs, given by their rows" and made.pairs == 60
    assert np.abs(made.matrix - maps.ridge(z, o, made.strength)[0]).max() < 1e-6


def test_held_out_pairs_are_seeded_and_identities_stay_whole():
    identities = np.repeat(np.arange(50), 8)
    mask, said = held_out_rows(400, None, identities, 0.1, 3)
    assert said == "40 of 400 pairs, 0.1 of the identities drawn with seed 3"
    assert not set(identities[mask]) & set(identities[~mask])
    assert (mask == held_out_rows(400, None, identities, 0.1, 3)[0]).all()
    assert (mask != held_out_rows(400, None, identities, 0.1, 4)[0]).any()
    named = held_out_rows(400, None, identities.astype(str), 0.1, 3)[0]
    assert named.sum() == 40
    mask, said = held_out_rows(400, None, None, 0.25, 0)
    assert mask.sum() == 100 and said == "100 of 400 pairs, 0.25 of the pairs drawn with seed 0"


def test_the_span_filter_needs_only_the_head_and_pairs_choose_its_strength():
    made = fit(None, None, "span-filter", head=HEAD, strength=0.1, **IDS)
    assert np.abs(made.matrix - maps.span_filter(HEAD.astype(np.float32), 12, 0.1)[0]).max() < 1e-6
    assert made.pairs == 0 and made.chosen_on is None
    basis = rotation(12)[:, :5]
    head, rng = unit(np.random.default_rng(1).normal(size=(40, 5)) @ basis.T), np.random.default_rng(2)
    o = unit(rng.normal(size=(300, 5)) @ basis.T)
    z = np.hstack([o + 0.3 * rng.normal(size=o.shape), rng.normal(size=(300, 3))])
    made = fit(z, o, "span-filter", head=head, **IDS)
    assert made.matrix.shape == (15, 12) and made.pairs == 0 and made.strength < 0.1
    assert made.chosen_on == "all 300 pairs, to which nothing was fitted"
    assert cosine(made.apply(z, "v2"), o) > cosine(z[:, :12], o) + 0.1


def test_a_midpoint_is_the_mean_of_both_queries_at_unit_length():
    z, o = pairs()
    other = unit(o + 0.1)
    base, made = fit(z, o, "ridge", **IDS), fit(z, o, "midpoint", **IDS)
    assert (made.of, made.weight, made.strength) == ("ridge", 0.5, base.strength)
    expected = (unit(base.apply(z, "v2")) + other) / 2
    assert np.abs(made.apply(5 * z, "v2", old_queries=3 * other) - expected).max() < 1e-5
    angles = [np.einsum("ij,ij->i", unit(expected), each) for each in (other, unit(base.apply(z, "v2")))]
    assert np.abs(angles[0] - angles[1]).max() < 1e-5  # halfway on the great circle
    heavy = fit(z, o, "midpoint", of="orthogonal", weight=0.0, **IDS)
    assert np.abs(heavy.apply(z, "v2", old_queries=other) - other).max() < 1e-6


@pytest.mark.parametrize(
    ("kind", "n", "options", "said"),
    [
        (
            "orthogonal",
            11,
            {},
            "11 pairs are too few for a map of kind orthogonal from 20 to 12 dimensions: it takes 12",
        ),
        ("centred-orthogonal", 12, {}, "it takes 13"),
        ("diagonal", 12, {}, "11 pairs (beside 1 held out) are too few for a map of kind diagonal of strength 1e-06"),
        ("lambda-orthogonal", 12, {"strength": 0.5}, "it takes 13"),
        ("lambda-orthogonal", 20, {"strength": np.inf}, "of strength inf from 20 to 12 dimensions: it takes 21"),
        ("ridge", 20, {"strength": 0}, "it takes 21"),
        ("ridge", 1, {"strength": 1}, "it takes 2"),
        ("ridge", 1, {}, "there are too few pairs to hold some out: expected 2 or more, or a given strength"),
        ("low-rank", 5, {"strength": 5}, "it takes 6"),
    ],
)
def test_too_few_pairs_for_the_kind(kind, n, options, said):
    z, o = pairs(60, 20, 12)
    refused(lambda: fit(z[:n], o[:n], kind, **options, **IDS), said)


def bad(value, row=7):
    z, _ = pairs(60)
    z[row] = value
    return z


@pytest.mark.parametrize(
    ("new", "old", "options", "said"),
    [
        (bad(np.nan), None, {}, "new: row 7 holds NaN, infinite or overflowing values, expected finite numbers"),
        (bad(np.inf), None, {}, "new: row 7 holds NaN, infinite"),
        (bad(0), None, {}, "new: row 7 is all zeros, which has no direction"),
        (None, bad(0, 59), {}, "old: row 59 is all zeros"),
        (None, bad(np.nan, 3), {}, "old: row 3 holds NaN"),
        (None, pairs(59)[1], {}, "old has 59 rows: expected 60, one for each row of new"),
        (np.ones(60), None, {}, "new holds an array of shape (60,)"),
        (np.full((60, 3), "a"), None, {}, "expected real numbers"),
        (None, None, {"kind": "rigde"}, "unknown kind of map 'rigde'; did you mean 'ridge'?"),
        (None, None, {"kind": "midpoint", "of": "midpoint"}, "unknown kind of map 'midpoint'"),
        (None, None, {"kind": "midpoint", "weight": 1.5}, "the weight of a midpoint is 1.5"),
        (None, None, {"weight": 0.5}, "a map of kind ridge takes neither of nor weight"),
        (None, None, {"strength": -1}, "the strength of a ridge map is -1: expected a finite number of 0 or more"),
        (None, None, {"strength": np.nan}, "is nan: expected"),
        (None, None, {"strength": np.inf}, "is inf: expected"),
        (None, None, {"kind": "orthogonal", "strength": 1}, "a map of kind orthogonal has no strength, got 1"),
        (None, None, {"kind": "low-rank", "strength": 2.5}, "its rank, 2.5: expected a whole number from 1 to 12"),
        (None, None, {"kind": "low-rank", "strength": 13}, "its rank, 13"),
        (None, None, {"strength": 1, "held_out": [1]}, "strength was given with held_out or identities"),
        (None, None, {"held_out": [60]}, "held_out names row 60: expected 0 to 59"),
        (None, None, {"held_out": [-1]}, "held_out names row -1"),
        (None, None, {"held_out": [0.5]}, "expected row numbers, integers [m]"),
        (None, None, {"held_out": range(60)}, "held_out names all 60 pairs"),
        (None, None, {"held_out": [1], "identities": ["a"] * 60}, "held_out and identities were both given"),
        (None, None, {"identities": ["a"] * 59}, "identities names 59 identities: expected 60, one for each pair"),
        (None, None, {"identities": ["a"] * 60}, "there are too few identities to hold some out"),
        (None, None, {"share": 1.0}, "share is 1.0: expected"),
        (None, None, {"kind": "span-filter"}, "a map of kind span-filter needs the old head"),
        (None, None, {"head": HEAD}, "a map of kind ridge takes no head"),
        (None, None, {"kind": "span-filter", "head": HEAD[:, :9]}, "head has 9 dimensions: expected 12"),
        (pairs(60, 9)[0], None, {"kind": "span-filter", "head": HEAD}, "a span filter needs 12 or more"),
        (None, None, {"new_id": "v1"}, "new and old model have the same id 'v1'"),
        (None, None, {"old_id": " "}, "the id of the old model is ' '"),
        (None, None, {"new_id": None}, "the id of the new model is None"),
    ],
)
def test_bad_input_is_one_sentence(new, old, options, said):
    z, o = pairs(60)
    options = {"kind": "ridge"} | IDS | options
    refused(lambda: fit(z if new is None else new, o if old is None else old, **options), said)


def test_missing_features_are_one_sentence():
    z, o = pairs(60)
    refused(lambda: fit(z, None, **IDS), "old is missing: expected features of both models")
    refused(lambda: fit(None, None, **IDS), "a map of kind ridge is fitted to pairs")
    refused(lambda: fit(None, None, "span-filter", head=HEAD, **IDS), "a span filter needs a strength, or features")
    with pytest.raises(UsageError):
        fit(z, o, "nothing", **IDS)


def test_features_of_one_value_and_of_huge_integers_are_fitted():
    """No rotation, no variance: a finite map all the same."""
    constant = np.ones((40, 12))
    for kind in NAMES[: len(FITTED)]:
        assert np.isfinite(fit(constant, constant, kind, **IDS).matrix).all()
    z, o = pairs()
    assert np.isfinite(fit((z * 1e6).astype(np.int64), o, **IDS).matrix).all()


def test_the_room_loads_neither_torch_nor_pandas():
    code = "import sys, bctlib.upgrade.align; sys.exit(any(name in sys.modules for name in ('torch', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, timeout=120).returncode == 0
