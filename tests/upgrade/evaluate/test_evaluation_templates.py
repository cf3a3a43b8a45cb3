"""Pooling by media: the hand check, image by image, and what is refused."""

import numpy as np
import pytest

from bctlib.base.errors import BctError
from bctlib.data import templates as media_templates
from bctlib.data.templates import templates_by_media


def slow(features, template, medium, n, weight, normalise):
    rows = []
    for t in range(n):
        total = np.zeros(features.shape[1])
        for m in np.unique(medium[template == t]):
            images = features[(template == t) & (medium == m)].astype(np.float64)
            if normalise:
                images = images / np.linalg.norm(images, axis=1, keepdims=True)
            total += (images * weight[(template == t) & (medium == m), None]).mean(axis=0)
        rows.append(total / max(np.linalg.norm(total), 1e-30))
    return np.array(rows)


def test_by_hand():
    features = np.array([[2, 0], [0, 2], [3, 0]], np.float32)
    pooled = templates_by_media(features, np.array([0, 0, 0]), np.array([7, 7, 9]), 1)
    assert pooled == pytest.approx(np.array([[4, 1]]) / np.sqrt(17))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("block", [7, 1 << 15])
def test_equals_the_definition_image_by_image(monkeypatch, normalise, block):
    monkeypatch.setattr(media_templates, "BLOCK_ROWS", block)
    rng = np.random.default_rng(3)
    template, medium = rng.integers(0, 12, 90), rng.integers(0, 4, 90)  # media shared between templates
    features, weight = rng.normal(size=(90, 6)).astype(np.float32), rng.uniform(0.2, 1, 90)
    expected = slow(features, template, medium, 13, weight, normalise)
    pooled = templates_by_media(features, template, medium, 13, weight, normalise)
    assert pooled.dtype == np.float32 and np.abs(pooled - expected).max() < 1e-6
    assert not pooled[12].any()  # no image
    order = rng.permutation(90)
    mixed = templates_by_media(features[order], template[order], medium[order], 13, weight[order], normalise)
    assert np.abs(mixed - expected).max() < 1e-6


@pytest.mark.parametrize("normalise", [False, True])
def test_halves_are_added_and_other_types_converted(normalise):
    rng = np.random.default_rng(4)
    template, medium, weight = rng.integers(0, 5, 40), rng.integers(0, 3, 40), rng.uniform(size=40)
    both = rng.normal(size=(40, 8))
    of_halves = templates_by_media(both, template, medium, 5, weight, normalise, halves=True)
    of_sum = templates_by_media(both[:, :4] + both[:, 4:], template, medium, 5, weight, normalise)
    assert np.abs(of_halves - of_sum).max() < 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features": np.zeros(4)}, "expected numbers [images, dimension]"),
        ({"features": np.full((4, 3), np.nan)}, "row 0 holds NaN"),
        ({"features": np.full((4, 3), 3e38)}, "overflows"),
        ({"halves": True}, "3 columns"),
        ({"medium": np.zeros(3, int)}, "medium has shape (3,)"),
        ({"template": np.array([0, 1, 2, 1])}, "from 0 to 2, expected 0 to 1"),
        ({"weight": np.ones(5)}, "weight has shape (5,)"),
    ],
)
def test_what_is_refused(change, said):
    good = {"features": np.ones((4, 3)), "template": np.array([0, 0, 1, 1]), "medium": np.zeros(4, int)}
    with pytest.raises(BctError) as error:
        templates_by_media(**(good | {"n_templates": 2} | change))
    assert said in str(error.value)
