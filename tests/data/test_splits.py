"""Splits share no identity, are fixed by their seed, and the training shares are nested."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bctlib.base.errors import BctError
from bctlib.data.protocols import IdentitySplit, split_identities, training_share


@given(seed=st.integers(0, 2**32 - 1), counts=st.tuples(*[st.integers(0, 40)] * 3), spare=st.integers(0, 10))
def test_split_is_disjoint_and_has_the_asked_counts(seed, counts, spare):
    split = split_identities(sum(counts) + spare, *counts, seed=seed)
    parts = (split.train, split.validation, split.test)
    assert tuple(len(part) for part in parts) == counts
    together = np.concatenate(parts)
    assert together.dtype == np.int64
    assert len(np.unique(together)) == sum(counts)
    assert all(0 <= identity < sum(counts) + spare for identity in together)
    assert all((np.diff(part) > 0).all() for part in parts)


def test_split_depends_on_the_seed_only():
    first, again, other = (split_identities(100, 60, 10, 30, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.test, again.test) and np.array_equal(first.train, again.train)
    assert not np.array_equal(first.test, other.test)


@given(seed=st.integers(0, 1000), n=st.integers(10, 200))
def test_training_shares_are_nested(seed, n):
    split = split_identities(n + 5, n, 2, 3, seed=0)
    shares = (0.25, 0.5, 0.9, 1.0)
    drawn = [training_share(split, share, seed) for share in shares]
    assert [len(one) for one in drawn] == [round(share * n) for share in shares]
    for smaller, larger in zip(drawn, drawn[1:], strict=False):
        assert set(smaller) <= set(larger)
    assert np.array_equal(drawn[-1], split.train)


def test_training_share_leaves_the_split_alone_and_follows_its_seed():
    split = split_identities(100, 80, 10, 10, seed=0)
    before = split.train.copy()
    assert not np.array_equal(training_share(split, 0.5, 1), training_share(split, 0.5, 2))
    assert np.array_equal(split.train, before)


@pytest.mark.parametrize("counts, said", [((50, 30, 21), "101"), ((-1, 3, 3), "n_train"), ((1, 3, -3), "n_test")])
def test_impossible_counts_are_refused(counts, said):
    with pytest.raises(BctError, match=said):
        split_identities(100, *counts, seed=0)


@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan")])
def test_share_out_of_range_is_refused(share):
    with pytest.raises(BctError, match="share"):
        training_share(split_identities(10, 5, 2, 3, seed=0), share, seed=0)


def test_share_that_leaves_nobody_is_refused():
    empty = np.empty(0, dtype=np.int64)
    with pytest.raises(BctError, match="none"):
        training_share(IdentitySplit(np.arange(3), empty, empty), 0.1, seed=0)
