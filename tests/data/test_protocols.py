"""The two protocols: sides share nothing they must not, counts are as described, pooling follows the formula."""

import dataclasses

import numpy as np
import pytest
from synthetic_glyphs import synthetic_glyphs

from bctlib.base.errors import BctError
from bctlib.data.protocols import PROBE_SIZES, glyph_protocols
from bctlib.data.templates import TemplateSet, digest, template_embeddings
from bctlib.data.variants import zipf_sizes

IDENTITIES = np.arange(2, 23)


@pytest.fixture(scope="module")
def glyphs():
    return synthetic_glyphs()


@pytest.fixture(scope="module")
def protocols(glyphs):
    return glyph_protocols(glyphs, IDENTITIES, seed=1)


def key_of(protocols) -> str:
    """Digest of the pool and all templates."""
    sets = sum(template_sets(protocols), ())
    arrays = [array for each in sets for array in (each.image_index, each.start, each.identity)]
    return digest(np.array(protocols.pool.key), *arrays)


def template_sets(protocols):
    verification, identification = protocols.verification, protocols.identification
    return (
        (verification.first, identification.probes),
        (verification.second, *identification.galleries),
    )


def test_sides_share_neither_typeface_nor_condition(protocols):
    pool = protocols.pool
    seen = []
    for side, sets in enumerate(template_sets(protocols)):
        used = np.concatenate([one.image_index for one in sets])
        assert set(pool.typeface[used]) <= set(protocols.typefaces[side])
        assert set(pool.condition[used]) <= set(protocols.conditions[side])
        seen.append(set(used))
    assert not seen[0] & seen[1]
    assert not set(protocols.typefaces[0]) & set(protocols.typefaces[1])
    assert sorted(np.concatenate(protocols.typefaces)) == list(range(8))
    assert not set(protocols.conditions[0]) & set(protocols.conditions[1])
    assert sorted(np.concatenate(protocols.conditions)) == list(range(8))
    assert seen[0] | seen[1] == set(range(pool.size)), "an image is embedded in vain"


def test_templates_hold_present_images_of_their_identity_and_share_none(glyphs, protocols):
    pool = protocols.pool
    assert glyphs.present[pool.identity, pool.typeface].all()
    designs = np.stack([pool.identity, pool.typeface, pool.condition], axis=1)
    assert len(np.unique(designs, axis=0)) == pool.size
    for one in sum(template_sets(protocols), ()):
        assert one.start[0] == 0 and one.start[-1] == len(one.image_index)
        assert (one.images_per_template >= 1).all()
        assert len(np.unique(one.image_index)) == len(one.image_index)
        assert np.array_equal(pool.identity[one.image_index], np.repeat(one.identity, one.images_per_template))
        assert np.array_equal(one.images_of(1), one.image_index[one.start[1] : one.start[2]])


def test_counts_where_no_image_is_missing():
    glyphs = synthetic_glyphs(n_identities=21, n_typefaces=33, side=8, missing=0)
    protocols = glyph_protocols(glyphs, np.arange(21), seed=0)
    assert protocols.counts == {
        "identities": 21,
        "images": 21 * (28 + 8),
        "first templates": 84,
        "second templates": 84,
        "genuine pairs": 21 * 16,
        "impostor pairs": 84 * 84 - 21 * 16,
        "probes": 21 * 21,
        "G1 identities": 11,
        "G1 mated searches": 11 * 21,
        "G1 non-mated searches": 10 * 21,
        "G2 identities": 10,
        "G2 mated searches": 10 * 21,
        "G2 non-mated searches": 11 * 21,
    }
    assert protocols.verification.first.images_per_template.tolist() == [4, 2, 1, 1] * 21
    assert protocols.identification.probes.images_per_template.tolist() == sorted(PROBE_SIZES, reverse=True) * 21
    assert (protocols.identification.galleries[0].images_per_template == 4).all()


def test_desk_scale_decides_the_strict_operating_points():
    """1,300 test identities, of which a fifth may be dropped: FAR = 1e-6 and FPIR = 1e-3 rest on ten or more each."""
    kept, first, probes = 1040, 4, len(PROBE_SIZES)
    assert (kept * first) * (kept * first - first) >= 10 / 1e-6
    assert (kept // 2) * probes >= 10 / 1e-3


def test_an_identity_with_few_images_gets_fewer_templates():
    glyphs = synthetic_glyphs(n_identities=4, n_typefaces=4, side=8, missing=0)
    protocols = glyph_protocols(glyphs, np.arange(4), seed=0)  # 4 images on the first side, 2 on the second
    assert protocols.verification.first.images_per_template.tolist() == [4] * 4
    assert protocols.verification.second.images_per_template.tolist() == [2] * 4
    assert protocols.identification.probes.images_per_template.tolist() == [3, 1] * 4


def test_galleries_halve_the_identities_and_each_probe_has_one_mate(protocols):
    g1, g2 = (gallery.identity for gallery in protocols.identification.galleries)
    assert len(set(g1)) == len(g1) and len(set(g2)) == len(g2) and abs(len(g1) - len(g2)) <= 1
    assert sorted([*g1, *g2]) == IDENTITIES.tolist()
    mated = protocols.identification.is_mated(0), protocols.identification.is_mated(1)
    assert (mated[0] ^ mated[1]).all()


def test_seed_decides_everything(glyphs, protocols):
    again = glyph_protocols(glyphs, IDENTITIES[::-1], seed=1)
    assert key_of(again) == key_of(protocols) and again.pool.key == protocols.pool.key
    assert np.array_equal(again.pool.images, protocols.pool.images)
    other = glyph_protocols(glyphs, IDENTITIES, seed=2)
    assert key_of(other) != key_of(protocols) and other.pool.key != protocols.pool.key


def test_one_changed_pixel_changes_the_keys(protocols):
    images = protocols.pool.images.copy()
    images[3, 5, 5] ^= 1
    changed = dataclasses.replace(protocols, pool=dataclasses.replace(protocols.pool, images=images))
    assert changed.pool.key != protocols.pool.key and key_of(changed) != key_of(protocols)


def test_leaving_identities_out(protocols):
    dropped = np.array([4, 9, 10])
    fewer = protocols.without(dropped)
    assert fewer.pool is protocols.pool and key_of(fewer) != key_of(protocols)
    assert fewer.identities.tolist() == sorted(set(IDENTITIES) - set(dropped))
    features = np.random.default_rng(0).normal(size=(protocols.pool.size, 5)).astype(np.float32)
    for full, less in zip(sum(template_sets(protocols), ()), sum(template_sets(fewer), ()), strict=True):
        assert not np.isin(less.identity, dropped).any()
        kept = ~np.isin(full.identity, dropped)
        assert np.array_equal(template_embeddings(features, full)[kept], template_embeddings(features, less))
    assert key_of(protocols.without(np.empty(0, dtype=np.int64))) == key_of(protocols)


def test_leaving_out_the_impossible_is_refused(protocols):
    with pytest.raises(BctError, match="0"):
        protocols.without(np.array([0, 4]))
    with pytest.raises(BctError, match="gallery"):
        protocols.without(protocols.identification.galleries[1].identity)


def test_pooling_by_hand():
    features = np.array([[2, 0], [9, 9], [0, 2], [3, 0], [0, 0]], dtype=np.float32)
    templates = TemplateSet(np.array([0, 2, 3, 1, 4]), np.array([0, 3, 4, 5]), np.array([7, 8, 9]))
    expected = [[5 / np.sqrt(29), 2 / np.sqrt(29)], [np.sqrt(0.5), np.sqrt(0.5)], [0, 0]]
    pooled = template_embeddings(features, templates)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


def test_pooling_agrees_with_numpy_segment_sums(protocols):
    features = np.random.default_rng(1).normal(size=(protocols.pool.size, 7)).astype(np.float32)
    templates = protocols.identification.probes
    summed = np.add.reduceat(features[templates.image_index], templates.start[:-1], axis=0)
    expected = summed / np.linalg.norm(summed, axis=1, keepdims=True)
    np.testing.assert_allclose(template_embeddings(features, templates), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fault", ["float64", "one row", "too few", "nan"])
def test_pooling_refuses_bad_features(fault):
    templates = TemplateSet(np.array([0, 2]), np.array([0, 2]), np.array([7]))
    features = np.ones((3, 2), dtype=np.float32)
    features = {
        "float64": features.astype(np.float64),
        "one row": features[0],
        "too few": features[:2],
        "nan": features * np.float32("nan"),
    }[fault]
    with pytest.raises(BctError, match="features"):
        template_embeddings(features, templates)


@pytest.mark.parametrize(
    "identities, options, said",
    [
        ([3], {}, "2 or more"),
        ([3, 3, 4], {}, "twice"),
        ([3, 24], {}, "0..23"),
        ([-1, 3], {}, "0..23"),
        ([1.0, 2.0], {}, "integers"),
        ([1, 2], {"captures": 0}, "captures"),
        ([1, 2], {"captures": 5}, "captures"),
        ([1, 2], {"template_sizes": ()}, "template_sizes"),
        ([1, 2], {"probe_sizes": (1, 0)}, "probe_sizes"),
        ([1, 2], {"gallery_size": 0}, "gallery_size"),
    ],
)
def test_bad_requests_are_refused(glyphs, identities, options, said):
    with pytest.raises(BctError, match=said):
        glyph_protocols(glyphs, np.array(identities), seed=0, **options)


def test_an_identity_without_typefaces_on_a_side_is_named(glyphs):
    present = glyphs.present.copy()
    present[5] = False
    with pytest.raises(BctError, match=glyphs.characters[5]):
        glyph_protocols(dataclasses.replace(glyphs, present=present), np.arange(10), seed=0)


def test_zipf_sizes_by_hand():
    """Up to 3 images: shares 6/11, 3/11, 2/11."""
    assert zipf_sizes(11, 3).tolist() == [3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1]
    assert zipf_sizes(1, 8).tolist() == [2]
    counts = np.bincount(zipf_sizes(650, 8))[1:]
    assert np.allclose(counts / 650, 1 / np.arange(1, 9) / (761 / 280), atol=1 / 650)
    with pytest.raises(BctError, match="1 or more"):
        zipf_sizes(0, 8)
