"""Orders of a backfill: permutations fixed by their seed, and hand checks."""

import numpy as np

from bctlib.metrics.backfill import (
    images_backfilled,
    largest_first,
    least_certain_first,
    random_order,
)


def test_orders_are_permutations_that_their_seed_decides():
    identities, sizes = np.array([7, 3, 11, 5]), np.array([1, 4, 4, 2])
    orders = {seed: random_order(identities, [seed, 0]).tolist() for seed in range(30)}
    assert all(sorted(order) == [3, 5, 7, 11] for order in orders.values())
    assert len(set(map(tuple, orders.values()))) > 9
    assert random_order(identities, [4, 0]).tolist() == orders[4]
    firsts = {largest_first(identities, sizes, seed).tolist()[0] for seed in range(20)}
    assert firsts == {3, 11}  # equally large: their order is drawn
    assert largest_first(identities, sizes, 0).tolist()[2:] == [5, 7]


def test_least_certain_first_by_hand():
    """Angles 0, 10, 90, 130 and 200 degrees: nearest neighbours at 10, 10, 40, 40 and 70."""
    degrees = np.radians([90, 0, 200, 10, 130])
    old = np.stack([np.cos(degrees), np.sin(degrees)], axis=1) * np.array([[1], [5], [2], [1], [3]])
    assert least_certain_first(np.array([30, 10, 50, 20, 40]), old).tolist() == [10, 20, 30, 40, 50]


def test_images_backfilled_by_hand():
    shares = images_backfilled(np.array([2, 1, 3, 4]), np.array([5, 1, 3, 1]), np.array([3, 2, 1, 4]), points=5)
    assert np.allclose(shares, [0, 0.3, 0.8, 0.9, 1])
