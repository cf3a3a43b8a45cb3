"""Prototypes by attention: the formula by hand, the average as its limit, and nothing hangs on the order of images."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bctlib.base.errors import BctError
from bctlib.data.templates import (
    TemplateSet,
    attention_embeddings,
    attention_weights,
    choose_temperature,
    template_embeddings,
)


def templates_of(*images: list[int], weight=None) -> TemplateSet:
    start = np.concatenate([[0], np.cumsum([len(each) for each in images])]).astype(np.int64)
    index = np.concatenate(images).astype(np.int64)
    return TemplateSet(index, start, np.arange(len(images)), weight)


def test_the_formula_by_hand():
    # Two images along x, one of twice the norm, and one along y: the mean is (3, 1) / sqrt(10).
    features = np.array([[1, 0], [2, 0], [0, 1]], np.float32)
    along, across = math.exp(3 / math.sqrt(10) / 0.5), math.exp(1 / math.sqrt(10) / 0.5)
    total = 2 * along + across
    weights = attention_weights(features, templates_of([0, 1, 2]), 0.5)
    assert weights == pytest.approx([along / total, along / total, across / total], abs=1e-6)
    expected = np.array([3 * along, across]) / math.hypot(3 * along, across)
    assert attention_embeddings(features, templates_of([0, 1, 2]), 0.5)[0] == pytest.approx(expected, abs=1e-6)


def test_weights_of_the_images_count_as_in_the_average():
    features = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    doubled = templates_of([0, 1, 2], weight=np.array([2, 1, 1], np.float32))
    mean = np.array([2.6, 1.8]) / math.hypot(2.6, 1.8)
    agreement = np.exp(np.array([mean[0], mean[1], 0.6 * mean[0] + 0.8 * mean[1]]) / 0.2)
    summed = (agreement / agreement.sum() * [2, 1, 1]) @ features
    assert attention_embeddings(features, doubled, 0.2)[0] == pytest.approx(summed / np.linalg.norm(summed), abs=1e-6)


def test_one_image_two_equal_ones_and_a_high_temperature_give_the_average():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 6)).astype(np.float32)
    few = templates_of([3], [4])
    assert np.allclose(attention_embeddings(features, few, 0.05), template_embeddings(features, few), atol=1e-6)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    pairs = templates_of([0, 1], [2, 3])
    assert np.allclose(attention_embeddings(unit, pairs, 0.05), template_embeddings(unit, pairs), atol=1e-5)
    many = templates_of([0, 5, 7, 9], [1, 2, 3])
    assert np.allclose(attention_embeddings(features, many, 1e6), template_embeddings(features, many), atol=1e-5)


def test_an_image_of_somebody_else_counts_less_the_lower_the_temperature():
    features = np.array([[1, 0, 0], [0.9, 0.1, 0], [0.9, 0, 0.1], [-0.3, 0.9, 0.2]], np.float32)
    weights = [attention_weights(features, templates_of([0, 1, 2, 3]), t)[3] for t in (1e6, 0.5, 0.1, 0.02)]
    assert weights[0] == pytest.approx(0.25, abs=1e-4)
    assert all(high > low for high, low in zip(weights, weights[1:], strict=False)) and weights[-1] < 1e-6


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.floats(0.02, 2))
def test_the_order_of_images_does_not_matter(order, temperature):
    features = np.random.default_rng(3).normal(size=(6, 5)).astype(np.float32)
    straight = attention_embeddings(features, templates_of(list(range(6))), temperature)
    assert np.allclose(attention_embeddings(features, templates_of(list(order)), temperature), straight, atol=1e-5)


def test_weights_sum_to_one_and_very_low_temperatures_stay_finite():
    features = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    weights = attention_weights(features, templates_of([0, 1, 2], [3, 4, 5, 6], [8]), 1e-4)
    assert [weights[:3].sum(), weights[3:7].sum(), weights[7]] == pytest.approx([1, 1, 1], abs=1e-6)


@pytest.mark.parametrize("temperature", [0, -1, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(BctError, match="temperature of the attention is .*, expected a number above 0"):
        attention_weights(np.ones((1, 2), np.float32), templates_of([0]), temperature)


def test_of_equally_good_temperatures_the_highest_is_taken():
    assert choose_temperature(lambda t: -abs(t - 0.1)) == 0.1
    assert choose_temperature(lambda t: 1.0) == 0.5
