"""Merging of two spaces: calibration by hand, ends of the curve, an oracle with loops, and what is refused."""

import numpy as np
import pytest

from bctlib.metrics.backfill import backfill_searches, tpir_along
from bctlib.metrics.identification import search, tpir_at_fpir
from bctlib.metrics.merging import Calibration, cascade_searches, merged_searches

RNG = np.random.default_rng(0)
N, Q = 30, 200
GALLERY = np.arange(N)
WANTED = RNG.integers(0, 2 * N, Q)  # the identities from N on are not enrolled
CENTRES = {"old": RNG.normal(size=(2 * N, 5)), "new": RNG.normal(size=(2 * N, 7))}
OLD, NEW = (CENTRES[name][:N] + 0.3 * RNG.normal(size=(N, d)) for name, d in (("old", 5), ("new", 7)))
OLD_PROBES, NEW_PROBES = (
    CENTRES[name][WANTED] + s * RNG.normal(size=(Q, d)) for name, d, s in (("old", 5, 0.5), ("new", 7, 0.3))
)
ORDER = RNG.permutation(N)


def cosines(one, other):
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other))
    return one @ other.T


def test_levels_are_the_logarithm_of_the_false_accept_rate():
    impostor = np.arange(1000) / 1000
    level = Calibration.of(impostor)
    assert level.level.tolist() == pytest.approx([1, 2, 3])
    for far in (0.1, 0.01, 0.001):
        cut = np.sort(impostor)[::-1][int(far * 1000)]  # the highest score that is not above
        assert level(cut) == pytest.approx(-np.log10(far)) and (impostor > cut).sum() == far * 1000
    assert level(1.5) > level(1.2) > 3 and level(-1) < level(0) < 1, "the order is kept beyond both ends"
    assert np.isneginf(level(-np.inf)) and level(0.944) == pytest.approx(1 + (0.944 - 0.899) / 0.09)


def test_merged_searches_by_loops():
    levels = [Calibration.of(RNG.normal(size=400)), Calibration.of(3 + 2 * RNG.normal(size=400))]
    found = merged_searches(OLD_PROBES, NEW_PROBES, WANTED, OLD, NEW, GALLERY, *levels, ORDER, 4)
    by_old, by_new = levels[0](cosines(OLD_PROBES, OLD)), levels[1](cosines(NEW_PROBES, NEW))
    for point, done in enumerate((0, 10, 20, 30)):
        is_new = np.isin(GALLERY, ORDER[:done])
        merged = np.where(is_new, by_new, by_old)
        own = WANTED[:, None] == GALLERY
        np.testing.assert_allclose(found.mate[:, point], np.where(own, merged, -np.inf).max(1), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            found.best_other[:, point], np.where(own, -np.inf, merged).max(1), rtol=1e-4, atol=1e-4
        )


def test_the_ends_of_a_merge_are_the_two_models_alone():
    levels = [Calibration.of(RNG.normal(size=400)), Calibration.of(3 + 2 * RNG.normal(size=400))]
    curve = tpir_along(merged_searches(OLD_PROBES, NEW_PROBES, WANTED, OLD, NEW, GALLERY, *levels, ORDER, 3), 0.1)
    for value, probes, gallery in ((curve[0], OLD_PROBES, OLD), (curve[-1], NEW_PROBES, NEW)):
        alone = search(probes, WANTED, gallery, GALLERY)
        assert value == tpir_at_fpir(alone.mate_score, alone.mate_rank, alone.nonmated_best, 0.1)


@pytest.mark.parametrize("candidates", [1, 4, N])
def test_the_cascade_by_loops(candidates):
    mapped = OLD_PROBES + 0.2 * RNG.normal(size=OLD_PROBES.shape)
    found = cascade_searches(mapped, NEW_PROBES, WANTED, OLD, NEW, GALLERY, candidates, ORDER, 4)
    coarse, fine = cosines(mapped, OLD), cosines(NEW_PROBES, NEW)
    for point, done in enumerate((0, 10, 20, 30)):
        for probe in range(Q):
            left = [each for each in GALLERY if each not in ORDER[:done]]
            kept = sorted(left, key=lambda each: -coarse[probe, each])[:candidates] + ORDER[:done].tolist()
            own = [fine[probe, each] for each in kept if each == WANTED[probe]]
            others = [fine[probe, each] for each in kept if each != WANTED[probe]]
            assert found.mate[probe, point] == pytest.approx(max(own, default=-np.inf), abs=1e-5)
            assert found.best_other[probe, point] == pytest.approx(max(others, default=-np.inf), abs=1e-5)
    if candidates == N:  # everything is embedded anew: the new model alone from the beginning
        whole = backfill_searches(NEW_PROBES, WANTED, NEW, NEW, GALLERY, ORDER, 4)
        np.testing.assert_array_equal(tpir_along(found, [0.1, 0.3]), tpir_along(whole, [0.1, 0.3]))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="different thresholds, expected two"):
        Calibration.of(np.zeros(100))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="candidates, points: expected 1"):
            cascade_searches(OLD_PROBES, NEW_PROBES, WANTED, OLD, NEW, GALLERY, wrong)
    with pytest.raises(ValueError, match="gallery_old"):
        cascade_searches(NEW_PROBES, NEW_PROBES, WANTED, OLD, NEW, GALLERY, 3)
