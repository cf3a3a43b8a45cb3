"""Look-alikes: planted doubles are found, both of a pair, whatever the rest looks like."""

import dataclasses

import numpy as np
import pytest
from synthetic_glyphs import synthetic_glyphs

from bctlib.base.errors import BctError
from bctlib.data.variants import find_lookalikes, nearest_identities


@pytest.fixture(scope="module")
def glyphs():
    """30 identities; 4 and 17, and 8 and 21, differ by one small corner."""
    plain = synthetic_glyphs(n_identities=30, missing=0.1)
    images, present = plain.images.copy(), plain.present.copy()
    for one, double in ((4, 17), (8, 21)):
        images[double], present[double] = images[one], present[one]
        images[double, :, :3, :3] = 255 - images[double, :, :3, :3]
    return dataclasses.replace(plain, images=images, present=present)


def test_planted_doubles_are_each_others_nearest_and_both_marked(glyphs):
    everyone = np.arange(30)
    nearest, correlation = nearest_identities(glyphs, everyone)
    assert nearest[[4, 17, 8, 21]].tolist() == [17, 4, 21, 8]
    assert correlation[4] == correlation[17]
    assert find_lookalikes(glyphs, everyone, share=4 / 30).tolist() == [4, 8, 17, 21]


def test_a_tie_at_the_threshold_marks_both(glyphs):
    assert len(find_lookalikes(glyphs, np.arange(30), share=1 / 30)) == 2


def test_only_doubles_among_the_given_identities_count(glyphs):
    identities = np.setdiff1d(np.arange(30), [17, 21])
    nearest, correlation = nearest_identities(glyphs, identities)
    assert set(nearest) <= set(identities) and (nearest != identities).all()
    assert correlation[4] < 0.9


def test_correlation_against_numpy(glyphs):
    identities = np.array([3, 11, 4, 17])
    mean = np.stack([glyphs.images[i][glyphs.present[i]].mean(axis=0).ravel() for i in identities])
    expected = np.corrcoef(mean) - 2 * np.eye(4)
    nearest, correlation = nearest_identities(glyphs, identities)
    np.testing.assert_allclose(correlation, expected.max(axis=1))
    assert nearest.tolist() == identities[expected.argmax(axis=1)].tolist()


def test_share_and_order(glyphs):
    marked = find_lookalikes(glyphs, np.arange(30)[::-1], share=0.2)
    assert len(marked) in (6, 7) and marked.dtype == np.int64 and (np.diff(marked) > 0).all()
    assert np.array_equal(marked, find_lookalikes(glyphs, np.arange(30), share=0.2))
    assert len(find_lookalikes(glyphs, np.arange(30), share=0)) == 0


def test_bad_input_is_refused(glyphs):
    with pytest.raises(BctError, match="share"):
        find_lookalikes(glyphs, np.arange(30), share=1.0)
    with pytest.raises(BctError, match="two or more"):
        find_lookalikes(glyphs, np.array([3]))
    present = glyphs.present.copy()
    present[5] = False
    with pytest.raises(BctError, match=glyphs.characters[5]):
        find_lookalikes(dataclasses.replace(glyphs, present=present), np.arange(30))
